package bus

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// numbered is a message that has only a number.
type numbered struct {
	jetstream.Msg
	n int
}

func TestAWorkerTakesMessagesInOrderToTheLast(t *testing.T) {
	w := newWaiting()
	got := make(chan string)
	go func() {
		defer close(got)
		for msg := w.next(); msg != nil; msg = w.next() {
			got <- fmt.Sprint(msg.(numbered).n)
		}
	}()
	w.add(numbered{n: 1})
	if first := <-got; first != "1" {
		t.Fatalf("%s came first", first)
	}
	for n := 2; n <= 5; n++ {
		w.add(numbered{n: n})
	}
	w.end()
	all := ""
	for n := range got {
		all += n
	}
	if all != "2345" {
		t.Errorf("then came %q", all)
	}
}

// A channel for each of 500 workers that takes 500 messages without blocking is 4 MB.
func TestAWorkerWithNothingToDoHoldsNoRoom(t *testing.T) {
	w := newWaiting()
	if room := cap(w.all); room != 0 {
		t.Errorf("room for %d messages before the first", room)
	}
	for n := range 500 {
		w.add(numbered{n: n})
	}
	for range 500 {
		w.next()
	}
	if room := cap(w.all); room != 0 {
		t.Errorf("room for %d messages after the last", room)
	}
}

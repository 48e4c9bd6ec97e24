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

func TestAWorkerTakesMessagesInOrderAndIsThereWhileThereAreAny(t *testing.T) {
	var w waiting
	for round := range 3 {
		for n := range 5 {
			if begins := w.add(numbered{n: n}); begins != (n == 0) {
				t.Fatalf("round %d: with message %d a worker begins is %t", round, n, begins)
			}
		}
		all := ""
		for msg := w.next(); msg != nil; msg = w.next() {
			all += fmt.Sprint(msg.(numbered).n)
			if all == "01" && w.add(numbered{n: 5}) {
				t.Error("a second worker begins")
			}
		}
		if all != "012345" {
			t.Errorf("round %d: they came as %q", round, all)
		}
	}
}

// A channel for each of 500 workers that takes 500 messages without blocking is 4 MB.
func TestAWorkerWithNothingToDoHoldsNoRoom(t *testing.T) {
	var w waiting
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

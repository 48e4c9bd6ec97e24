package graphwriter

import (
	"testing"
	"time"
)

func TestTheBreaker(t *testing.T) {
	const pause = 5 * time.Minute
	second := func(s int) time.Time { return at(0).Add(time.Duration(s) * time.Second) }
	var b breaker
	for i := range mostWrites {
		if !b.allows(second(i), 0, pause) {
			t.Fatalf("write %d in %d seconds is not allowed", i+1, i)
		}
		b.count(second(i))
	}
	steady := breaker{wrote: append([]time.Time(nil), b.wrote...)}
	if b.allows(second(30), 0, pause) || !b.stopped(second(31)) {
		t.Fatal("an eleventh write in a minute is allowed")
	}
	if b.allows(second(329), 0, pause) {
		t.Error("allowed before the pause is over")
	}
	if b.stopped(second(330)) || !b.allows(second(330), 0, pause) {
		t.Error("not allowed after the pause")
	}
	// Ten a minute for good are not too much: the first falls out of the window.
	if !steady.allows(second(60), 0, pause) || steady.stopped(second(60)) {
		t.Error("a write a minute after the first of ten is not allowed")
	}
	planned := breaker{wrote: b.wrote}
	for i := range mostWrites - 1 {
		planned.count(second(400 + i))
	}
	if !planned.allows(second(410), 0, pause) || planned.allows(second(410), 1, pause) {
		t.Error("writes that are planned do not count")
	}
}

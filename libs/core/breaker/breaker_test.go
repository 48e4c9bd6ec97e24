package breaker

import (
	"testing"
	"time"
)

func TestTheBreaker(t *testing.T) {
	const pause = 5 * time.Minute
	start := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	second := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var b Breaker
	for i := range Most {
		if !b.Allows(second(i), 0, pause) {
			t.Fatalf("write %d in %d seconds is not allowed", i+1, i)
		}
		b.Count(second(i))
	}
	steady := Breaker{wrote: append([]time.Time(nil), b.wrote...)}
	if b.Allows(second(30), 0, pause) || !b.Stopped(second(31)) || b.Until() != second(330) {
		t.Fatal("an eleventh write in a minute is allowed")
	}
	if b.Allows(second(329), 0, pause) || b.Until() != second(330) {
		t.Error("allowed before the pause is over, or asking made it longer")
	}
	if b.Stopped(second(330)) || !b.Allows(second(330), 0, pause) {
		t.Error("not allowed after the pause")
	}
	// Ten a minute for good are not too much: the first falls out of the window.
	if !steady.Allows(second(60), 0, pause) || steady.Stopped(second(60)) {
		t.Error("a write a minute after the first of ten is not allowed")
	}
	planned := Breaker{wrote: b.wrote}
	for i := range Most - 1 {
		planned.Count(second(400 + i))
	}
	if !planned.Allows(second(410), 0, pause) || planned.Allows(second(410), 1, pause) {
		t.Error("writes that are planned do not count")
	}
}

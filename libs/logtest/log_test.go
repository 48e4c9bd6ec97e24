package logtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestALogRemembersWhatManyWrite(t *testing.T) {
	var l Log
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 10 {
				fmt.Fprintf(&l, "level=INFO writer=%d\n", i)
				_ = l.String()
			}
		})
	}
	writers.Wait()
	fmt.Fprint(&l, "level=WARN and no end of a line")
	if n := l.Count("level=INFO"); n != 80 {
		t.Errorf("%d lines of information", n)
	}
	if got := l.Lines("WARN"); !slices.Equal(got, []string{"level=WARN and no end of a line"}) {
		t.Errorf("warnings: %q", got)
	}
}

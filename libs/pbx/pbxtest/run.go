package pbxtest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Run runs the suite as subtests, each against a phone system of its own.
func Run(t *testing.T, open func() Harness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// Check runs the suite without failing a test and returns what each failed case
// had to say, by the name of the case. It is for suites' own tests: a driver that
// is broken on purpose must fail.
func Check(ctx context.Context, open func() Harness) map[string]string {
	failed := make(map[string]string)
	for _, c := range cases {
		r := &recorder{ctx: ctx}
		done := make(chan struct{})
		go func() { // of its own, because Fatalf ends it
			defer close(done)
			c.run(r, open)
		}()
		<-done
		if len(r.said) > 0 {
			failed[c.name] = strings.Join(r.said, "; ")
		}
	}
	return failed
}

// Names lists the cases.
func Names() []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// recorder is a T that keeps what it is told. One goroutine at a time uses it.
type recorder struct {
	ctx  context.Context // of Check; a recorder does not outlive it
	said []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

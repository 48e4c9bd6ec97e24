package usersync

import (
	"context"
	"sync"
	"time"
	"unique"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// attempts are the changes that were tried and not done, the last of each line: what the
// next plan says of them, and what a plan that is being applied counts as failed. They
// are in memory, at most one of each line, and are read from the outcomes at the start.
type attempts struct {
	mu    sync.Mutex // guards lines
	lines map[identity.Line]attempt
}

// attempt is a change that was not done.
type attempt struct {
	person identity.Person
	plan   string // which it was of, or ""
	result wire.ChangeResult
	detail unique.Handle[string] // the same of many, when a licence or a right is missing
	at     time.Time
}

// mostDetail is how many characters are kept of what was said of a failure.
const mostDetail = 300

func newAttempts() *attempts { return &attempts{lines: map[identity.Line]attempt{}} }

// note takes an outcome in. One that is well ends what was said of its line.
func (a *attempts) note(o wire.ExtensionOutcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.Result.Well() {
		delete(a.lines, o.Line)
		return
	}
	detail := []rune(o.Detail)
	a.lines[o.Line] = attempt{person: o.Person, plan: o.Plan, result: o.Result, at: o.At.UTC(), detail: unique.Make(string(detail[:min(len(detail), mostDetail)]))}
}

// of is what came of the last change of a person's line; nil: it was done, or nobody knows.
func (a *attempts) of(line identity.Line, person identity.Person) *plan.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	is, known := a.lines[line]
	if !known || is.person != person {
		return nil
	}
	return &plan.Attempt{At: is.at, Result: string(is.result), Detail: is.detail.Value()}
}

// failed counts those of a plan.
func (a *attempts) failed(plan string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, is := range a.lines {
		if is.plan == plan {
			n++
		}
	}
	return n
}

// recall reads what was tried before this service was started.
func (s *Sync) recall(ctx context.Context) error {
	return s.deps.Bus.Each(ctx, topology.Outcomes, topology.Wildcard("outcome.extension.<system>.<ext>"), func(m bus.Message) error {
		if o, err := wire.DecodeExtensionOutcome(m.Data); err == nil {
			s.attempts.note(o)
		}
		return nil
	})
}

package pbx_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// single is the driver without the power Several: a reading is a request.
type single struct{ memory.Full }

// StatusesOf takes the power's place, and is none.
func (single) StatusesOf() {}

func (d single) Capabilities() pbx.Capabilities {
	c := d.Full.Capabilities()
	c.Several = 0
	return c
}

// setup is a phone system of n extensions from 200, a System in front of it, and
// what happens to requests in between.
type setup struct {
	*pbx.System
	world *memory.PhoneSystem

	mu   sync.Mutex
	now  int // in flight
	most int
}

func newSetup(t *testing.T, n int, options pbx.Options) *setup {
	t.Helper()
	return newSetupOf(t, n, options, func(d memory.Full) pbx.Driver { return single{d} })
}

func newSetupOf(t *testing.T, n int, options pbx.Options, of func(memory.Full) pbx.Driver) *setup {
	t.Helper()
	var all []directory.Extension
	for i := range n {
		all = append(all, directory.Extension{Number: identity.Extension(fmt.Sprint(200 + i)), Enabled: true})
	}
	b := &setup{world: memory.NewPhoneSystem(all...)}
	var err error
	b.System, err = pbx.NewSystem("hq", of(memory.Open(b.world, memory.Powers)), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// answering makes every request take a while and then succeed, or fail with what
// refuse says; refuse may be nil.
func (b *setup) answering(took time.Duration, refuse func(n int) error) {
	n := 0
	b.world.Intercept(func(ctx context.Context, request func() error) error {
		b.mu.Lock()
		n++
		mine := n
		b.now++
		b.most = max(b.most, b.now)
		b.mu.Unlock()
		defer func() {
			b.mu.Lock()
			b.now--
			b.mu.Unlock()
		}()
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return ctx.Err()
		}
		if refuse != nil {
			if err := refuse(mine); err != nil {
				return err
			}
		}
		return request()
	})
}

var (
	closed = memory.Refusal{Code: "closed"}
	lost   = memory.ErrLost
)

func busy(wait time.Duration) error { return memory.Refusal{Code: "busy", Wait: wait} }

// always refuses every request.
func always(err error) func(int) error { return func(int) error { return err } }

// first refuses the first n requests.
func first(n int, err error) func(int) error {
	return func(mine int) error {
		if mine <= n {
			return err
		}
		return nil
	}
}

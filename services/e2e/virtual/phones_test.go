package virtual

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// exchange is a phone system of the memory driver's whose writes are counted. Now and
// then the answer to one is lost. Requests take no time: pbx-writer holds a line's lock
// meanwhile, and who waits for a lock keeps a bubble's time from passing.
type exchange struct {
	id     identity.System
	powers presence.Powers
	system *memory.PhoneSystem
	wrote  func(identity.Extension) // called for a write that changed something
	away   atomic.Bool              // it answers nothing

	mu    sync.Mutex // guards what follows
	dice  *rand.Rand
	count int // of writes that changed something
}

// writes is how many writes changed something so far.
func (e *exchange) writes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

func newExchange(id identity.System, powers presence.Powers, extensions int, seed uint64) *exchange {
	var all []directory.Extension
	for i := range extensions {
		all = append(all, directory.Extension{Number: extension(i), Enabled: true})
	}
	e := &exchange{id: id, powers: powers, system: memory.NewPhoneSystem(all...), wrote: func(identity.Extension) {}, dice: rand.New(rand.NewPCG(seed, 2))}
	return e
}

func extension(i int) identity.Extension { return identity.Extension(fmt.Sprint(10_000 + i)) }

func (e *exchange) open(context.Context) (pbx.Driver, error) {
	return counted{memory.Open(e.system, e.powers), e}, nil
}

type counted struct {
	memory.Full
	e *exchange
}

// reached is the error of a phone system that is away.
func (e *exchange) reached() error {
	if e.away.Load() {
		return fault.New(fault.Unavailable, "phone system "+string(e.id), nil)
	}
	return nil
}

func (c counted) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	if err := c.e.reached(); err != nil {
		return presence.Unset, err
	}
	return c.Full.Status(ctx, ext)
}

func (c counted) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	if err := c.e.reached(); err != nil {
		return err
	}
	return c.Full.Statuses(ctx, yield)
}

func (c counted) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	if err := c.e.reached(); err != nil {
		return err
	}
	before := c.e.system.Shown(ext)
	err := c.Full.SetStatus(ctx, ext, s)
	if c.e.system.Shown(ext) == s && before != s {
		c.e.wrote(ext)
	}
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	if c.e.system.Shown(ext) == s && before != s {
		c.e.count++
	}
	if err == nil && c.e.dice.IntN(200) == 0 {
		return fault.New(fault.Timeout, "set status", memory.ErrLost)
	}
	return err
}

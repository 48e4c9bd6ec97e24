package pbx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// scripted is a driver whose watches are what a test says: connect is one
// connection, the n-th, from 1.
type scripted struct {
	pbx.Driver
	connect func(ctx context.Context, n int, sink pbx.Sink) error

	mu sync.Mutex
	at []time.Time // when it was asked to connect
}

func (d *scripted) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{Powers: memory.Powers, Watch: pbx.WatchPowers{Calls: true, Status: true}}
}

func (d *scripted) Watch(ctx context.Context, sink pbx.Sink) error {
	d.mu.Lock()
	d.at = append(d.at, time.Now())
	n := len(d.at)
	d.mu.Unlock()
	return d.connect(ctx, n, sink)
}

func (d *scripted) attempts() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// script makes a System of which only watches are of interest.
func script(t *testing.T, options pbx.Options, connect func(ctx context.Context, n int, sink pbx.Sink) error) (*pbx.System, *scripted) {
	t.Helper()
	world := memory.NewPhoneSystem(directory.Extension{Number: "200"})
	d := &scripted{Driver: memory.Open(world, memory.Powers), connect: connect}
	s, err := pbx.NewSystem("hq", d, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, d
}

func calls(ext identity.Extension, n int) pbx.CallEvent {
	return pbx.CallEvent{Extension: ext, Calls: n}
}

// tell says several things.
func tell(sink pbx.Sink, events ...pbx.WatchEvent) {
	for _, e := range events {
		sink(e)
	}
}

// on lives until it is cancelled, with a sign of life now and then.
func on(ctx context.Context, sink pbx.Sink) error {
	beat := time.NewTicker(pbx.WatchBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			sink(pbx.Synced{})
		case <-ctx.Done():
			return fault.New(fault.KindOf(ctx.Err()), "scripted", context.Cause(ctx))
		}
	}
}

var errGone = fault.New(fault.Unavailable, "scripted", errors.New("the line is dead"))

// journal writes down what a watch tells.
type journal struct {
	mu      sync.Mutex
	entries []string
	calls   map[identity.Extension]int // no zeros
	live    bool
}

func newJournal() *journal { return &journal{calls: make(map[identity.Extension]int)} }

func (j *journal) hear(e pbx.WatchEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := fmt.Sprintf("%T", e)[len("pbx."):]
	switch e := e.(type) {
	case pbx.CallEvent:
		entry = fmt.Sprintf("%s:%d", e.Extension, e.Calls)
		if j.calls[e.Extension] = e.Calls; !e.Active() {
			delete(j.calls, e.Extension)
		}
	case pbx.StatusEvent:
		entry = fmt.Sprintf("%s=%s", e.Extension, e.Status)
	case pbx.Synced:
		j.live = true
	case pbx.Down:
		j.live = false
	}
	j.entries = append(j.entries, entry)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.entries, " ")
}

// watch runs a watch in the background until the returned function is called, which
// returns how it ended.
func watch(t *testing.T, s *pbx.System, sink pbx.Sink) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, sink) }()
	return func() error { cancel(); return <-ended }
}

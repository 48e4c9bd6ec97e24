package memory

import (
	"context"
	"errors"
	"maps"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

var errCut = errors.New("the connection was cut")

// view is what there is to see of the phone system at one moment.
type view struct {
	calls    map[identity.Extension]int // no zeros
	statuses map[identity.Extension]presence.Status
	changed  <-chan struct{} // closed when it is not so any more
	sign     <-chan struct{} // closed when a sign of life is due
	cut      <-chan struct{}
}

// Watch is an optional power. Whenever anything changes it looks at everything and
// tells the difference, so nothing can be missed, doubled or out of order. A real
// driver has events to go by, and looks at everything when it may have missed one.
func (d *driver) Watch(ctx context.Context, sink pbx.Sink) error {
	const op = "memory: watch"
	var now view
	if err := d.request(ctx, func() error { now = d.system.view(); return nil }); err != nil {
		return classify(op, err)
	}
	cut := now.cut
	now.tell(view{}, sink)
	sink(pbx.Synced{})
	beat := time.NewTicker(pbx.WatchBeat)
	defer beat.Stop()
	for {
		sign := false
		select {
		case <-now.changed:
		case <-now.sign:
			sign = true
		case <-beat.C:
			sign = true
		case <-cut:
			return classify(op, errCut)
		case <-d.done:
			return classify(op, errClosed)
		case <-ctx.Done():
			return classify(op, ctx.Err())
		}
		before := now
		d.system.mu.Lock()
		now = d.system.view()
		d.system.mu.Unlock()
		now.tell(before, sink)
		if sign {
			sink(pbx.Synced{})
		}
	}
}

// view looks at everything. mu is held.
func (p *PhoneSystem) view() view {
	return view{maps.Clone(p.calls), maps.Clone(p.shown), p.changed, p.sign, p.cut}
}

// tell tells what is different from before.
func (v view) tell(before view, sink pbx.Sink) {
	for ext, n := range v.calls {
		if before.calls[ext] != n {
			sink(pbx.CallEvent{Extension: ext, Calls: n})
		}
	}
	for ext := range before.calls {
		if v.calls[ext] == 0 {
			sink(pbx.CallEvent{Extension: ext})
		}
	}
	for ext, status := range v.statuses {
		if old, known := before.statuses[ext]; !known || old != status {
			sink(pbx.StatusEvent{Extension: ext, Status: status})
		}
	}
}

package portsip

import (
	"context"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

const (
	// askers is how many users are asked at a time. Half of the connections are for others.
	askers = maxConnections / 2
	// helping is how many users are asked before what they say is told: few enough for
	// whatever happens meanwhile not to wait for long.
	helping = 5 * askers
)

// seen is what is told of one user: the status, and in Line whether there is a call.
type seen struct {
	shown
	Line string `json:"status"`
}

// inCall says whether the user is in a call. Some say it in one place, some in both.
func (s seen) inCall() bool {
	return inCall[folded(s.Line)] || s.Presence != nil && inCall[folded(*s.Presence)]
}

// askAll asks users how they are, some at a time; nil is who is not there any more.
func (d *Driver) askAll(ctx context.Context, op string, exts []identity.Extension) ([]*seen, error) {
	answers := make([]*seen, len(exts))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(askers)
	for i, ext := range exts {
		asking.Go(func() (err error) {
			answers[i], err = d.see(ctx, op, ext)
			return err
		})
	}
	return answers, asking.Wait()
}

// see asks how a user is, when others have had their turn; nil if there is none.
func (d *Driver) see(ctx context.Context, op string, ext identity.Extension) (s *seen, err error) {
	if err := d.wire.budget.giveWay(ctx, op); err != nil {
		return nil, err
	}
	err = d.withID(ctx, op, ext, func(id string) (err error) {
		s, err = d.ask(ctx, op, id)
		return err
	})
	if err != nil && (fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Gone) {
		return nil, nil
	}
	return s, err
}

// ask asks how the user with an id is.
func (d *Driver) ask(ctx context.Context, op, id string) (*seen, error) {
	s := new(seen)
	if err := d.wire.get(ctx, op, d.admin, userPath(id)+"/status", nil, s); err != nil {
		return nil, err
	}
	if s.Presence == nil && s.DND == nil && s.Line == "" {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it is about no status", errSenseless)
	}
	d.available.read(s.Presence)
	return s, nil
}

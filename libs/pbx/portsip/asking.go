package portsip

import (
	"context"
	"encoding/json"

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
		s, err = d.ask(ctx, op, id, d.technique == oneByOne)
		return err
	})
	if err != nil && (fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Gone) {
		return nil, nil
	}
	return s, err
}

// ask asks how the user with an id is, also of the switch if the answer is to tell it.
func (d *Driver) ask(ctx context.Context, op, id string, withSwitch bool) (*seen, error) {
	s := new(seen)
	if err := d.wire.get(ctx, op, d.admin, userPath(id)+"/status", nil, s); err != nil {
		return nil, err
	}
	if s.Presence == nil && s.DND == nil && s.Line == "" {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it is about no status", errSenseless)
	}
	d.available.read(s.Presence)
	if !withSwitch || s.DND != nil || d.config.Statuses == ByOwn {
		return s, nil
	}
	on, err := d.switchOf(ctx, op, id)
	s.DND = &on
	return s, err
}

// switchOf reads the switch where the user is, for the description promises it nowhere. That it is
// off must not be taken from an answer without it: what we switched on would look as if a
// person had switched it off.
func (d *Driver) switchOf(ctx context.Context, op, id string) (bool, error) {
	m, err := d.members(ctx, op, id)
	if err != nil {
		return false, err
	}
	var on *bool
	if json.Unmarshal(m["enable_dnd"], &on) != nil || on == nil {
		return false, fault.Errorf(fault.Unavailable, op, "%w: neither the user nor its status tells enable_dnd", errSenseless)
	}
	return *on, nil
}

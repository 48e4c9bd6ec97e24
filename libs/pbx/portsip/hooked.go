package portsip

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

const (
	// portion is how many users are asked with each beat whether they are in a call, although
	// nothing was heard of them and they were in none: the beginning of a call whose event was
	// lost is found within a beat for each so many users.
	portion = 100
	// missedPortion is how many after an event that could not be read.
	missedPortion = 1000
)

// hooked turns events of the webhook into what a watch tells. They come late, twice, in any
// order and sometimes not at all, so an event is never believed: it is a reason to ask how
// the user is now, whose answer has both the status and whether there is a call. Neither
// timestamps nor ids of events are needed for that. Where the event said something else of a
// call than the answer, the answer may have been too early, and the user is asked once more
// after Config.Settle.
//
// With each beat all statuses are read, and of calls those who are in one, those who are new,
// and a portion of the others: those who were not asked for the longest time. So the end of
// a call is seen with the next beat though its event is lost.
type hooked struct {
	*Driver
	*teller
	door   *door
	serial int                        // of the newest beat
	asked  map[identity.Extension]int // with which each of those who are there was asked last; 0: never
	doubts claims
	again  *time.Timer // when to ask those in doubt
}

func (d *Driver) watchHook(ctx context.Context, _ *sync.WaitGroup, sink pbx.Sink) error {
	door, err := openDoor(ctx, d.config.Webhook)
	if err != nil {
		return err
	}
	defer door.close()
	h := &hooked{Driver: d, teller: newTeller(sink), door: door, asked: make(map[identity.Extension]int),
		doubts: claims{}, again: time.NewTimer(time.Hour)}
	defer h.again.Stop()
	return h.follow(ctx)
}

// follow listens before it reads, so that what changes in between is heard of.
func (h *hooked) follow(ctx context.Context) error {
	if err := h.confirm(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(h.config.Beat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case err = <-h.door.broken:
			err = fault.New(fault.Unavailable, opWatch, err)
		case <-h.door.news:
			err = h.heed(ctx)
		case <-h.again.C:
			doubts := h.there(h.doubts)
			clear(h.doubts)
			err = h.ask(ctx, doubts, nil)
		case <-beat.C:
			err = h.confirm(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// confirm makes sure that everything is told.
func (h *hooked) confirm(ctx context.Context) error {
	if err := h.checkTenant(ctx); err != nil {
		return err
	}
	there := make(map[identity.Extension]bool)
	if err := h.users(ctx, opWatch, "", func(u user) error { there[u.ext] = true; return nil }); err != nil {
		return err
	}
	h.door.admit(there) // before anybody is asked
	if h.technique != oneByOne {
		err := h.Statuses(ctx, func(ext identity.Extension, s presence.Status) error {
			h.tellStatus(ext, s)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	for ext := range h.asked {
		if !there[ext] {
			delete(h.asked, ext)
			h.tellGone(ext)
		}
	}
	for ext := range there {
		if _, old := h.asked[ext]; !old {
			h.asked[ext] = 0
		}
	}
	h.serial++
	for some := range slices.Chunk(h.due(), portion) {
		if err := h.ask(ctx, some, nil); err != nil {
			return err
		}
		if err := h.heed(ctx); err != nil {
			return err
		}
	}
	h.sink(pbx.Synced{})
	return nil
}

// due are those to be asked with a beat: see hooked. Where only users themselves tell their
// status, each whose status is read is one of them.
func (h *hooked) due() []identity.Extension {
	count := portion
	if h.door.takeMissed() {
		count = missedPortion
	}
	var due, rest []identity.Extension
	for ext, serial := range h.asked {
		if serial == 0 || h.calls[ext] || h.technique == oneByOne && h.reads(ext) {
			due = append(due, ext)
		} else {
			rest = append(rest, ext)
		}
	}
	slices.SortFunc(rest, func(a, b identity.Extension) int { return cmp.Or(h.asked[a]-h.asked[b], cmp.Compare(a, b)) })
	return append(due, rest[:min(count, len(rest))]...)
}

// heed asks those of whom something was heard.
func (h *hooked) heed(ctx context.Context) error {
	heard := h.door.take()
	return h.ask(ctx, h.there(heard), heard)
}

// there are those of some who were there with the newest beat.
func (h *hooked) there(some claims) []identity.Extension {
	var there []identity.Extension
	for ext := range some {
		if _, ok := h.asked[ext]; ok {
			there = append(there, ext)
		}
	}
	return there
}

// ask asks users and tells what they are. heard is what events have said of them. One that
// is gone is for the next beat.
func (h *hooked) ask(ctx context.Context, exts []identity.Extension, heard claims) error {
	answers, err := h.askAll(ctx, opWatch, exts)
	if err != nil {
		return err
	}
	for i, ext := range exts {
		h.asked[ext] = h.serial
		if answers[i] != nil {
			h.tell(ext, *answers[i], heard[ext])
		}
	}
	return nil
}

// tell tells what a user is. An answer without the switch says nothing about the status where
// that is read in lists.
func (h *hooked) tell(ext identity.Extension, s seen, claimed *bool) {
	h.tellCall(ext, s.inCall())
	if h.reads(ext) && (s.DND != nil || h.technique == oneByOne) {
		h.tellStatus(ext, s.status(h.config.Statuses))
	}
	if claimed != nil && *claimed != s.inCall() {
		h.doubts[ext] = nil
		h.again.Reset(h.config.Settle)
	}
}

// portal is where an administrator mends what checkTenant finds.
const portal = "in PortSIP's portal, Company, Event URL, Extension Events"

// checkTenant reads whether the tenant sends events, and how, as far as it tells. It may have
// stopped by itself, after too many failures.
func (d *Driver) checkTenant(ctx context.Context) error {
	var tenant struct {
		Event json.RawMessage `json:"extension_event"`
	}
	var event struct {
		Enabled *bool
		Auth    string
	}
	err := d.wire.get(ctx, opWatch, d.admin, "/tenant", nil, &tenant)
	switch {
	case err != nil && refused(err) && !errors.Is(err, errAccount):
		return nil // who may read users need not be allowed to read this
	case err != nil:
		return err
	}
	_ = json.Unmarshal(tenant.Event, &event) // what is of another kind is as good as not told
	auth := "BEARER"
	if d.config.Webhook.Username != "" {
		auth = "BASIC"
	}
	switch told := folded(event.Auth); {
	case event.Enabled != nil && !*event.Enabled:
		return fault.Errorf(fault.Denied, opWatch, "the phone system sends no events: they are switched off (%s, Enable)", portal)
	case told != auth && (told == "DISABLE" || told == "BASIC" || told == "DIGEST" || told == "BEARER"):
		return fault.Errorf(fault.Denied, opWatch, "the phone system sends events with the authentication %s, and options.webhook expects %s (%s, Authentication Method)", told, auth, portal)
	}
	return nil
}

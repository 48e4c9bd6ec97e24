package sippresence

import (
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// asleep keeps a driver from looking at an extension until it is woken.
func asleep(t *testing.T, d pbx.Driver, ext identity.Extension) (wake func()) {
	t.Helper()
	r := d.(*driver).table.row(ext, Presence)
	if err := r.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.give
}

// dueNow makes the keeper look at what is held of an extension.
func dueNow(d pbx.Driver, ext identity.Extension, event Event) {
	own := d.(*driver).table
	r := own.row(ext, event)
	own.mu.Lock()
	defer own.mu.Unlock()
	own.schedule(r, time.Now())
}

// due is when a keeper looks at the next publication for an event, false if there is none.
func due(d pbx.Driver, event Event) (at time.Time, any bool) {
	own := d.(*driver).table
	own.mu.Lock()
	defer own.mu.Unlock()
	for _, r := range own.rows {
		if r.held.Event == event && !r.next.IsZero() && (!any || r.next.Before(at)) {
			at, any = r.next, true
		}
	}
	return at, any
}

// unscheduled says whether the keeper has nothing to do with an extension any more.
func unscheduled(d pbx.Driver, ext identity.Extension, event Event) func() bool {
	own := d.(*driver).table
	r := own.row(ext, event)
	return func() bool {
		own.mu.Lock()
		defer own.mu.Unlock()
		return r.next.IsZero() && !r.busy
	}
}

// A process that wakes up later than what it published has expired cannot know what another
// one shows by now.
func TestWhoHasSleptPublishesNothingOldOnAKamailio(t *testing.T) {
	t.Parallel()
	k, ok := startKamailio(t, kamailiotest.Files)
	if !ok {
		return
	}
	config := k.config(UDP)
	config.Lamps = presence.SetOf(presence.DND)
	brief := config
	brief.Expires = 2 * time.Second
	one, two := open(t, brief), open(t, config)
	phone, lamp := k.Watch(t, "230"), k.WatchCalls(t, "230")
	set(t, one, "230", presence.DND)
	lamp.Sees(t, kamailiotest.Red)
	quiet(t, one, "230")
	wake := asleep(t, one, "230")
	left := held(one, "230")

	nextSecond(t)
	set(t, two, "230", presence.DND)
	quiet(t, two, "230")
	set(t, two, "230", presence.Lunch)
	phone.Sees(t, presence.Lunch)
	lamp.Sees(t, kamailiotest.Dark)
	eventually(t, "the first one's have expired", func() bool { return time.Now().After(left.Expires.Add(time.Second)) })
	nextSecond(t)
	heard, told := len(phone.Documents()), len(lamp.Documents())
	wake()
	eventually(t, "the status is given up", unscheduled(one, "230", Presence))
	eventually(t, "the lamp is given up", unscheduled(one, "230", Dialog))
	reads(t, two, "230", presence.Lunch)
	k.Call(t, "230", "real", "confirmed") // after it nothing of the first one is on its way any more
	lamp.Sees(t, kamailiotest.Red)
	for _, document := range phone.Documents()[heard:] {
		if shown := kamailiotest.Shown(document); shown != presence.Lunch {
			t.Errorf("the phone was told %v:\n%s", shown, document)
		}
	}
	k.Call(t, "230", "real", "terminated")
	if lamp.Sees(t, kamailiotest.Dark); len(lamp.Documents()) == told {
		t.Error("the lamp was told nothing")
	}
	set(t, one, "230", presence.DND) // as its owner again
	lamp.Sees(t, kamailiotest.Red)
}

// Without an owner's knowledge nothing is sent, however long what was published lives: to
// Kamailio what was refreshed last is the newest.
func TestWhoHasLostTheExtensionsSendsNothingOnAKamailio(t *testing.T) {
	t.Parallel()
	k, ok := startKamailio(t, kamailiotest.Files)
	if !ok {
		return
	}
	config := k.config(UDP)
	config.Lamps, config.RemoveOnClose = presence.SetOf(presence.DND), true
	one, two := open(t, config), open(t, config)
	var lost atomic.Bool
	one.(*driver).Until(func() time.Time {
		if lost.Load() {
			return time.Now()
		}
		return time.Now().Add(time.Minute)
	})
	phone, lamp := k.Watch(t, "231"), k.WatchCalls(t, "231")
	set(t, one, "231", presence.DND)
	lamp.Sees(t, kamailiotest.Red)
	quiet(t, one, "231")
	lost.Store(true)
	nextSecond(t)
	set(t, two, "231", presence.Lunch)
	phone.Sees(t, presence.Lunch)
	set(t, two, "231", presence.DND)
	phone.Sees(t, presence.DND)
	quiet(t, two, "231")
	set(t, two, "231", presence.Away)
	phone.Sees(t, presence.Away)
	lamp.Sees(t, kamailiotest.Dark)
	nextSecond(t)
	heard := len(phone.Documents())
	dueNow(one, "231", Presence)
	dueNow(one, "231", Dialog)
	eventually(t, "it was their turn", func() bool {
		at, _ := due(one, Presence)
		lamp, _ := due(one, Dialog)
		return time.Until(at) > firstRest/2 && time.Until(lamp) > firstRest/2
	})
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	reads(t, two, "231", presence.Away)
	k.Call(t, "231", "real", "confirmed")
	lamp.Sees(t, kamailiotest.Red)
	k.Call(t, "231", "real", "terminated")
	lamp.Sees(t, kamailiotest.Dark)
	for _, document := range phone.Documents()[heard:] {
		t.Errorf("the phone was told\n%s", document)
	}
}

func TestWhatNoCallerWaitsForEndsWithTheOwner(t *testing.T) {
	t.Parallel()
	s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); c.RemoveOnClose = true })
	set(t, d, "201", presence.DND)
	quiet(t, d, "201")
	var until atomic.Pointer[time.Time]
	end := func(at time.Time) { until.Store(&at) }
	d.(*driver).Until(func() time.Time { return *until.Load() })
	end(time.Now())
	before := len(s.messages())
	dueNow(d, "201", Presence)
	dueNow(d, "201", Dialog)
	eventually(t, "it was their turn", func() bool {
		at, _ := due(d, Presence)
		lamp, _ := due(d, Dialog)
		return time.Until(at) > 0 && time.Until(lamp) > 0
	})
	if sent := s.messages()[before:]; len(sent) > 0 {
		t.Errorf("the server received %+v", sent)
	}
	end(time.Now().Add(time.Minute)) // it is the owner still
	eventually(t, "both are refreshed", func() bool { return len(s.messages()) == before+2 })
	end(time.Now())
	d.Close()
	if sent := s.messages()[before+2:]; len(sent) > 0 {
		t.Errorf("closing sent %+v", sent)
	}
}

// Phones go on showing a lamp that has expired, and a reading puts it right.
func TestALampThatSleptThroughItsLifeFollowsTheNextReading(t *testing.T) {
	for shown, state := range map[presence.Status]string{presence.DND: "confirmed", presence.Away: "terminated"} {
		t.Run(shown.String(), func(t *testing.T) {
			t.Parallel()
			s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); brief(b, c) })
			set(t, d, "201", presence.DND)
			quiet(t, d, "201")
			wake := asleep(t, d, "201")
			own := d.(*driver).table
			eventually(t, "it has expired", func() bool { return s.call("201") == "" })
			before := len(lamps(s))
			wake()
			eventually(t, "the status is given up", unscheduled(d, "201", Presence)) // a reading beside that says nothing of the lamp
			eventually(t, "the lamp is given up", unscheduled(d, "201", Dialog))
			if sent := lamps(s)[before:]; len(sent) > 0 {
				t.Errorf("the server received %+v", sent)
			}
			if left := own.held(own.row("201", Dialog)); left.Status != presence.DND {
				t.Errorf("it is forgotten that the lamp was lit: %+v", left)
			}
			s.behave(func(*behaviour) { *s.users["201"] = user{body: foreign(shown)} })
			reads(t, d, "201", shown)
			eventually(t, "the lamp is right", lampIs(s, "201", state))
		})
	}
}

package graphwriter

import (
	"math/rand/v2"
	"testing"
	"time"

	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// at is a moment of the tests, in minutes.
func at(minutes float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(minutes * float64(time.Minute)))
}

const (
	call   = string(graph.SessionInACall)
	meet   = string(graph.SessionInAConferenceCall)
	dnd    = string(graph.PreferDoNotDisturb)
	pinned = string(graph.PreferAway)
)

// shown is a pin that was set at a time until another, in minutes.
func shown(show string, set, until float64) *pin {
	return &pin{Show: show, SetAt: at(set), Until: at(until)}
}

// pinnedTo is an entry with one pin.
func pinnedTo(t target, p *pin) entry { return entry{}.happened(t, p) }

// asking is an entry with one request whose end is not known.
func (e entry) asking(t target, p *pin) entry { return e.intend(t, p) }

// wanting is a want for one target until a time.
func wanting(t target, show string, until float64) (w wire.TeamsWant) {
	if t == session {
		w.Session, w.SessionUntil = show, at(until)
	} else {
		w.Preferred, w.PreferredUntil = show, at(until)
	}
	return w
}

func TestWhatAWantMakesNecessary(t *testing.T) {
	wantNothing, disown, release := wire.TeamsWant{}, wire.TeamsWant{Disowned: true}, wire.TeamsWant{Release: true, Session: call, SessionUntil: at(60), Preferred: dnd, PreferredUntil: at(60)}
	for _, c := range []struct {
		name string
		of   target
		pins entry
		want wire.TeamsWant
		now  float64
		step step
	}{
		{"a call, and nothing of ours", session, entry{}, wanting(session, call, 10), 0, set},
		{"a call that shows already", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, call, 10), 1, keep},
		{"a call whose session has expired", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, call, 20), 10, set},
		{"a conference, and a call shows", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, meet, 10), 1, set},
		{"a conference with less than five minutes left, and a call shows", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, meet, 10), 7, set},
		{"the end moved by more than half a minute", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, call, 15), 5, refresh},
		{"the end moved by half a minute", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, call, 10.5), 5, keep},
		{"the end moved to an earlier time", session, pinnedTo(session, shown(call, 0, 60)), wanting(session, call, 20), 5, keep},
		{"the end moved, and is less than five minutes away", session, pinnedTo(session, shown(call, 0, 10)), wanting(session, call, 11), 6.5, keep},
		{"less than five minutes are wanted, and nothing lives", session, entry{}, wanting(session, call, 2), 0, set},
		{"less than five minutes are wanted, and five were set", session, pinnedTo(session, shown(call, 0, 2)), wanting(session, call, 2), 1, keep},
		{"after these the rest of the five is left alone", session, pinnedTo(session, shown(call, 0, 2)), wanting(session, call, 2), 3, none},
		{"a call of a day is set for four hours", session, pinnedTo(session, shown(call, 0, 1440)), wanting(session, call, 1440), 239, keep},
		{"and then again", session, pinnedTo(session, shown(call, 0, 1440)), wanting(session, call, 1440), 240, set},
		{"a call that should have ended already, and nothing of ours", session, entry{}, wanting(session, call, 10), 11, none},
		{"a call that should have ended earlier than was asked for", session, pinnedTo(session, shown(call, 0, 60)), wanting(session, call, 10), 11, remove},
		{"no call any more", session, pinnedTo(session, shown(call, 0, 10)), wantNothing, 1, remove},
		{"no call any more, and the session has expired", session, pinnedTo(session, shown(call, 0, 10)), wantNothing, 11, none},
		{"no call, and never one", session, entry{}, wantNothing, 0, none},
		{"a call, and whether it shows is not known", session, entry{}.asking(session, shown(call, 0, 10)), wanting(session, call, 10), 1, set},
		{"a call shows, and whether it was cleared is not known", session, pinnedTo(session, shown(call, 0, 10)).asking(session, &pin{SetAt: at(1)}), wanting(session, call, 10), 2, set},
		{"no call, and whether one shows is not known", session, entry{}.asking(session, shown(call, 0, 10)), wantNothing, 1, remove},
		{"no call, and whether it was cleared is not known", session, pinnedTo(session, shown(call, 0, 10)).asking(session, &pin{SetAt: at(1)}), wantNothing, 2, remove},
		{"no call, and whatever was asked for has expired", session, entry{}.asking(session, shown(call, 0, 10)), wantNothing, 11, none},
		{"disowning is not about sessions", session, pinnedTo(session, shown(call, 0, 10)), disown, 1, remove},
		{"a release during a call", session, pinnedTo(session, shown(call, 0, 10)), release, 1, remove},
		{"a release without anything of ours", session, entry{}, release, 1, none},

		{"a choice, and nothing of ours", preferred, entry{}, wanting(preferred, dnd, 120), 0, set},
		{"a choice that shows already", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, dnd, 120), 1, keep},
		{"a choice for a minute shows for a minute", preferred, pinnedTo(preferred, shown(dnd, 0, 1)), wanting(preferred, dnd, 120), 1, set},
		{"another choice", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, pinned, 120), 1, set},
		{"its end moved to a later time", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, dnd, 180), 60, refresh},
		{"its end moved to an earlier time", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, dnd, 90), 60, refresh},
		{"its end moved by half a minute", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, dnd, 119.5), 60, keep},
		{"its end moved into the past", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wanting(preferred, dnd, 30), 60, remove},
		{"no choice any more", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wantNothing, 60, remove},
		{"no choice any more, and it has expired", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wantNothing, 120, none},
		{"a choice that became a person's", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), disown, 60, forget},
		{"a choice that became a person's before we knew that it showed", preferred, entry{}.asking(preferred, shown(dnd, 0, 120)), disown, 1, forget},
		{"a release of a choice", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), release, 60, remove},
		{"a release of a choice that became a person's", preferred, pinnedTo(preferred, shown(dnd, 0, 120)), wire.TeamsWant{Release: true, Disowned: true}, 60, forget},
		{"the other target does not matter", preferred, pinnedTo(session, shown(call, 0, 10)), wantNothing, 1, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.pins.step(c.of, c.want, at(c.now)); got != c.step {
				t.Errorf("step %d, want %d", got, c.step)
			}
		})
	}
}

func TestHowLongATargetIsAskedToLive(t *testing.T) {
	for _, c := range []struct {
		of   target
		left time.Duration
		life time.Duration
	}{
		{session, 10*time.Minute - time.Millisecond, 10*time.Minute - time.Second},
		{session, 10 * time.Second, graph.MinSessionLife},
		{session, 24 * time.Hour, graph.MaxSessionLife},
		{preferred, 2*time.Hour + time.Millisecond, 2 * time.Hour},
		{preferred, 24 * time.Hour, 24 * time.Hour},
		{preferred, time.Millisecond, time.Second},
	} {
		if got := c.of.life(at(0).Add(c.left), at(0)); got != c.life {
			t.Errorf("%s with %v left: %v, want %v", c.of, c.left, got, c.life)
		}
	}
}

func TestWhetherWhatShowsLeavesRoomForOurs(t *testing.T) {
	ours := pinnedTo(preferred, shown(dnd, 0, 120))
	both := ours.happened(session, shown(call, 0, 10))
	for _, c := range []struct {
		name                   string
		pins                   entry
		availability, activity string
		ours                   bool
	}{
		{"ours", ours, "DoNotDisturb", "DoNotDisturb", true},
		{"ours, in other letters and with another activity", ours, "doNotDisturb", "presenting", true},
		{"a person reset it", ours, "Available", "Available", false},
		{"a person chose something else", ours, "Away", "Away", false},
		{"a meeting", ours, "Busy", "InAMeeting", false},
		{"our own call over it", both, "Busy", "InACall", true},
		{"somebody's meeting while our call lives", both, "Busy", "InAMeeting", false},
		{"nobody has a session", ours, "Offline", "Offline", true},
		{"a person appears offline by choice", ours, "Offline", "OffWork", false},
		{"Teams does not know", ours, "PresenceUnknown", "PresenceUnknown", true},
		{"what may show, for all we know", entry{}.asking(preferred, shown(dnd, 0, 120)), "DoNotDisturb", "DoNotDisturb", true},
		{"the one before, whose clearing was lost", ours.asking(preferred, &pin{SetAt: at(1)}), "DoNotDisturb", "DoNotDisturb", true},
	} {
		if got := c.pins.explains(graph.Presence{Availability: c.availability, Activity: c.activity}); got != c.ours {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A law: what a want made necessary is not necessary again, whatever was there before.
func TestTwiceIsOnce(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	minutes := func() float64 { return float64(r.IntN(300)) }
	anything := func(t target) *pin {
		if r.IntN(3) == 0 {
			return nil
		}
		shows := map[target][]string{session: {call, meet}, preferred: {dnd, pinned}}[t]
		set := minutes()
		return shown(shows[r.IntN(2)], set, set+minutes())
	}
	asked := 0
	for range 20_000 {
		of := targets[r.IntN(2)]
		e := pinnedTo(of, anything(of))
		if r.IntN(3) == 0 {
			e = e.intend(of, anything(of))
		}
		var w wire.TeamsWant
		if p := anything(of); p != nil {
			w = wanting(of, p.Show, p.Until.Sub(at(0)).Minutes())
		}
		now := at(minutes())
		do := e.step(of, w, now)
		next := e
		switch do {
		case set, refresh:
			p := of.asked(w)
			p.SetAt = now
			next = e.happened(of, &p)
		case remove, forget:
			next = e.happened(of, nil)
		}
		if do.asks() {
			asked++
		}
		if again := next.step(of, w, now); again.asks() || again == forget {
			t.Fatalf("seed %d: step %d, then %d\nof %+v\nwant %+v\nnow %v", seed, do, again, e, w, now)
		}
	}
	if asked < 1000 {
		t.Errorf("seed %d: only %d requests: the law is asleep", seed, asked)
	}
}

package graphwriter

import (
	"context"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// presence-mapper takes what shows for ours until the outcome says that it does not.
func TestTheOutcomeTellsWhatMayShow(t *testing.T) {
	for _, c := range []struct {
		name string
		of   target
		pins entry
		at   float64
		want string
	}{
		{"nothing", session, entry{}, 1, ""},
		{"a call", session, pinnedTo(session, shown(call, 0, 10)), 1, call},
		{"a call that has run out", session, pinnedTo(session, shown(call, 0, 10)), 11, ""},
		{"a call that may have been set", session, entry{}.asking(session, shown(call, 0, 10)), 1, call},
		{"a call that may have been cleared", session, pinnedTo(session, shown(call, 0, 10)).asking(session, &pin{SetAt: at(1)}), 2, call},
		{"a choice that may have been cleared", preferred, pinnedTo(preferred, shown(dnd, 0, 120)).asking(preferred, &pin{SetAt: at(1)}), 2, dnd},
		{"a choice that was cleared", preferred, pinnedTo(preferred, shown(dnd, 0, 120)).happened(preferred, nil), 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			if p := c.pins.shown(c.of, at(c.at)); p != nil {
				got = p.Show
			}
			if got != c.want {
				t.Errorf("%q may show, not %q", got, c.want)
			}
		})
	}
}

func TestAClearThatGraphRefusesIsNotToldAsCleared(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.teams.stand(func(context.Context, string, identity.User, func() error) error {
		return fault.New(fault.Denied, "test", nil)
	})
	if o := s.ends(s.publish(s.want(0)), wire.Failed); o.Session != call {
		t.Errorf("the session is told as %q while it shows", o.Session)
	}
	s.teams.stand(nil)
	if o := s.ends(s.publish(s.want(0)), wire.Applied); o.Session != "" || o.EndedAt.IsZero() {
		t.Errorf("the session is told as %q at %v although it was cleared", o.Session, o.EndedAt)
	}
}

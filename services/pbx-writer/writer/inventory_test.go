package writer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// unmarked is a phone system whose listings tell no markers, and that takes no languages, as
// 3CX.
type unmarked struct{ *tap }

func (d unmarked) Capabilities() pbx.Capabilities {
	can := d.tap.Capabilities()
	can.Writer.Marker = pbx.SingleMarker
	can.Writer.Fields = slices.DeleteFunc(slices.Clone(can.Writer.Fields), func(f directory.Field) bool { return f == directory.Language })
	return can
}

func (d unmarked) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	return d.tap.Extensions(ctx, func(e directory.Extension) error {
		e.Marker, e.Language = "", ""
		return yield(e)
	})
}

// listedAgain waits until a listing that began after now is published.
func (s *stage) listedAgain() {
	s.t.Helper()
	now := s.bus.Now()
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Directory, wire.SystemSubject(hq))
		if err != nil {
			return err.Error()
		}
		if system, err := wire.DecodeSystem(m.Data); err != nil || !system.ListedAt.After(now) {
			return fmt.Sprintf("listed at %v, %v", system.ListedAt, err)
		}
		return ""
	})
}

// A listing that tells less than is known is no news: after a first run it would have every
// extension published a second time, without its marker and its language.
func TestAListingWithoutMarkersIsNoNewsOfWhatWasMarked(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*stage)
		want string
	}{
		{"what was made stays as it was told", func(*stage) {}, "U1 marked, told once"},
		{"what somebody changed is told, and whose it is now nobody knows", func(s *stage) {
			s.phones.Edit("300", func(e *directory.Extension) { e.FirstName = "Other" })
		}, "Other unmarked, told twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 1)
			conf := &s.opts.Systems[0]
			conf.Inventory = 20 * time.Millisecond
			conf.Open = func(ctx context.Context) (pbx.Driver, error) {
				d, err := s.phones.open(ctx)
				return unmarked{d.(*tap)}, err
			}
			s.run("a")
			to := whole(1, "300")
			to.Language = "de-DE"
			if o := s.becomes(asks(wire.OpCreate, 1, "300", to)); o.Result != wire.ChangeDone {
				t.Fatalf("%+v", o)
			}
			made := s.told("300")
			c.then(s)
			s.listedAgain()
			fact, told := s.inventory("300"), "once"
			if s.told("300") != made {
				told = "twice"
			}
			marked := map[identity.User]string{"": "unmarked", person(1).User: "marked"}[fact.Marker]
			if got := fmt.Sprintf("%s %s, told %s", fact.FirstName, marked, told); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// told is the sequence of the newest fact about an extension.
func (s *stage) told(ext identity.Extension) uint64 {
	m, err := s.bus.Last(s.t.Context(), topology.Directory, wire.InventorySubject(lineOf(ext)))
	if err != nil {
		s.t.Error(err)
	}
	return m.Sequence
}

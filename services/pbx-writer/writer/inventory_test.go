package writer

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
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
	s.eventually(func() string { return s.listedSince(now) })
}

// A run is about to begin and wants to know what somebody has just changed at the phone
// system, whose next listing is an hour away. One want is one listing, and one by which
// the newest listing goes already is none.
func TestExtensionsAreListedWhenThatIsWanted(t *testing.T) {
	s := newStage(t, 1)
	var listings atomic.Int64
	conf := &s.opts.Systems[0]
	conf.Inventory = time.Hour
	conf.Open = func(ctx context.Context) (pbx.Driver, error) {
		d, err := s.phones.open(ctx)
		return counted{d.(*tap), &listings}, err
	}
	before := s.bus.Now()
	s.run("a")
	s.eventually(func() string { return s.listedSince(before) })
	s.phones.Edit("200", func(e *directory.Extension) { e.FirstName = "Other" })
	for _, c := range []struct {
		name string
		at   func() time.Time
		want int64
	}{
		{"now", s.bus.Now, 2},
		{"by a moment before the last", func() time.Time { return before }, 2},
		{"now again", s.bus.Now, 3},
	} {
		at := c.at()
		subject, data := wire.InventoryWant{System: hq, WantedAt: at}.Encode()
		if _, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			t.Fatal(err)
		}
		s.eventually(func() string { return s.listedSince(at) })
		if fact := s.inventory("200"); fact.FirstName != "Other" {
			t.Errorf("%s: told %q", c.name, fact.FirstName)
		}
		if n := listings.Load(); n != c.want {
			t.Errorf("%s: %d listings, want %d", c.name, n, c.want)
		}
	}
}

// counted counts the listings of a phone system.
type counted struct {
	*tap
	listings *atomic.Int64
}

func (d counted) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	d.listings.Add(1)
	return d.tap.Extensions(ctx, yield)
}

// listedSince says why no listing is published that began at a moment or later.
func (s *stage) listedSince(at time.Time) string {
	m, err := s.bus.Last(s.t.Context(), topology.Directory, wire.SystemSubject(hq))
	if err != nil {
		return err.Error()
	}
	if system, err := wire.DecodeSystem(m.Data); err != nil || system.ListedAt.Before(at) {
		return fmt.Sprintf("listed at %v, %v", system.ListedAt, err)
	}
	return ""
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

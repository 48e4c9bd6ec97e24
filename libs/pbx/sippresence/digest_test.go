package sippresence

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// counted is how many requests a server took, how many it challenged, and how many of
// these had an answer to an earlier challenge.
type counted struct{ taken, challenged, rejected int }

func (s *server) counted() counted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return counted{len(s.received), s.refused, s.rejected}
}

// write sets the statuses of an extension n times, each a change.
func write(t *testing.T, d pbx.Driver, ext identity.Extension, n int) {
	t.Helper()
	for i := range n {
		set(t, d, ext, []presence.Status{presence.DND, presence.Available}[i%2])
	}
}

// Where the server lets it, only the first request is challenged, and where it does not no
// write takes more than two requests.
func TestAChallengeIsAnsweredAhead(t *testing.T) {
	cases := []struct {
		name   string
		adjust func(*behaviour)
		want   counted // after twenty writes
	}{
		{"twenty writes are 21 requests", func(*behaviour) {}, counted{20, 1, 0}},
		{"twenty writes by way of a proxy that asks are 21 requests", func(b *behaviour) { b.proxy = true }, counted{20, 1, 0}},
		{"a server that asks for nothing is told nothing", func(b *behaviour) { b.open = true }, counted{20, 0, 0}},
		{"a nonce that is good for three is replaced by the fourth", func(b *behaviour) { b.nonceUses = 3 }, counted{20, 7, 6}},
		{"and also where the server does not say that it is stale", func(b *behaviour) { b.nonceUses, b.silent = 3, true }, counted{20, 7, 6}},
		{"nonces that are good for one are answered again three times", func(b *behaviour) { b.nonceUses = 1 }, counted{20, 20, 3}},
		{"and also where the server does not say that they are stale", func(b *behaviour) { b.nonceUses, b.silent = 1, true }, counted{20, 20, 3}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, func(b *behaviour, _ *Config) { c.adjust(b) })
			write(t, d, "201", 20)
			if got := s.counted(); got != c.want {
				t.Errorf("%+v instead of %+v", got, c.want)
			}
		})
	}
}

func TestReadsRefreshesAndRemovalsAreAnsweredAheadToo(t *testing.T) {
	s, d := pair(t, func(_ *behaviour, c *Config) { c.RemoveOnClose = true })
	set(t, d, "201", presence.DND)
	reads(t, d, "201", presence.DND)
	if _, err := d.(*driver).refresh(t.Context(), "refresh", held(d, "201")); err != nil {
		t.Error(err)
	}
	d.Close()
	if got, want := s.counted(), (counted{4, 1, 0}); got != want {
		t.Errorf("%+v instead of %+v", got, want)
	}
}

// After a first write the server changes its ways.
func TestAnAnswerAheadThatIsRefused(t *testing.T) {
	cases := []struct {
		name   string
		change func(*behaviour)
		denied bool
		want   counted // by the second write
	}{
		{"is followed by one to the new challenge", func(b *behaviour) { b.staleNonces = 1 }, false, counted{1, 1, 1}},
		{"is followed by two if the next nonce is stale as well", func(b *behaviour) { b.staleNonces = 2 }, false, counted{1, 2, 2}},
		{"is given up if they are stale for ever", func(b *behaviour) { b.staleNonces = 1000 }, true, counted{0, 3, 3}},
		{"is followed by one for another realm", func(b *behaviour) { b.realm = "elsewhere" }, false, counted{1, 1, 1}},
		{"is followed by one to a proxy that asks now", func(b *behaviour) { b.proxy = true }, false, counted{1, 1, 0}},
		{"is followed by one that is denied if the password is another now", func(b *behaviour) { b.password = "changed" }, true, counted{0, 2, 2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, nil)
			set(t, d, "201", presence.DND)
			before := s.counted()
			s.behave(c.change)
			err := d.SetStatus(t.Context(), "201", presence.Away)
			if c.denied {
				wantKind(t, err, fault.Denied)
			} else if err != nil {
				t.Error(err)
			}
			got := s.counted()
			got = counted{got.taken - before.taken, got.challenged - before.challenged, got.rejected - before.rejected}
			if got != c.want {
				t.Errorf("%+v instead of %+v", got, c.want)
			}
		})
	}
}

// Wrong credentials are offered once for each write: with the second the server is asked
// first, as if it had never let us in.
func TestADeniedAnswerIsNotRepeatedAhead(t *testing.T) {
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	s.behave(func(b *behaviour) { b.password = "changed" })
	wantKind(t, d.SetStatus(t.Context(), "201", presence.Away), fault.Denied)
	before := s.counted()
	wantKind(t, d.SetStatus(t.Context(), "201", presence.Away), fault.Denied)
	if after := s.counted(); after.challenged != before.challenged+2 || after.rejected != before.rejected+1 {
		t.Errorf("%+v became %+v", before, after)
	}
	s.behave(func(b *behaviour) { b.password = password })
	write(t, d, "201", 2)
	if after := s.counted(); after.challenged != before.challenged+3 {
		t.Errorf("with the right password again %+v became %+v", before, after)
	}
}

// crowded writes n times for each of 16 extensions, one write a time for each.
func crowded(t *testing.T, d pbx.Driver, n int) {
	t.Helper()
	var writers sync.WaitGroup
	for i := range 16 {
		writers.Go(func() {
			for j := range n {
				if err := d.SetStatus(t.Context(), identity.Extension(strconv.Itoa(300+i)), []presence.Status{presence.DND, presence.Available}[j%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
}

func TestManyInFlight(t *testing.T) {
	var extensions []identity.Extension
	for i := range 16 {
		extensions = append(extensions, identity.Extension(strconv.Itoa(300+i)))
	}
	t.Run("share a nonce and no count of it", func(t *testing.T) {
		s := newServer(t, extensions...)
		d := open(t, s.config(UDP))
		set(t, d, "300", presence.Away)
		crowded(t, d, 10)
		if got, want := s.counted(), (counted{161, 1, 0}); got != want {
			t.Errorf("%+v instead of %+v", got, want)
		}
		var want []string
		for i := range 161 {
			want = append(want, fmt.Sprintf("%08x", i+1))
		}
		if got := slices.Sorted(slices.Values(s.nonces["n1"])); !slices.Equal(got, want) {
			t.Errorf("the counts are %v", got)
		}
	})
	t.Run("take two requests for a write where nonces are good for one", func(t *testing.T) {
		s := newServer(t, extensions...)
		s.behave(func(b *behaviour) { b.nonceUses = 1 })
		crowded(t, open(t, s.config(UDP)), 10)
		if got := s.counted(); got.taken != 160 || got.challenged != 160 {
			t.Errorf("%+v for 160 writes", got)
		}
	})
}

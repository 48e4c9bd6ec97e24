package sippresence

import (
	"context"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// brief is long enough for a keeper that a busy machine holds up.
func brief(_ *behaviour, c *Config) { c.Expires = 2 * time.Second }

// refreshes are the requests after the first n.
func refreshes(s *server, n int) []message { return s.messages()[n:] }

func TestRefreshesProlongAndCarryNothing(t *testing.T) {
	t.Parallel()
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	first := held(d, "201").ETag
	for n := range 2 {
		dueNow(d, "201", Presence)
		eventually(t, "a refresh", func() bool { return len(refreshes(s, 1)) > n && held(d, "201").ETag != first })
	}
	m := refreshes(s, 1)
	if m[0].body || m[0].etag != first || m[1].body || m[1].etag == first || m[1].etag == "" {
		t.Errorf("the server received %+v", m)
	}
	reads(t, d, "201", presence.DND)
}

func TestRefreshesCarryTheDocumentWhereThatIsConfigured(t *testing.T) {
	t.Parallel()
	s, d := pair(t, func(_ *behaviour, c *Config) { c.RefreshWhole = true })
	set(t, d, "201", presence.DND)
	dueNow(d, "201", Presence)
	eventually(t, "a refresh", func() bool { return len(refreshes(s, 1)) > 0 })
	if m := refreshes(s, 1)[0]; !m.body || m.etag == "" {
		t.Errorf("the server received %+v", m)
	}
}

func TestWhatTheServerForgotIsPutBack(t *testing.T) {
	t.Parallel()
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	s.forget()
	dueNow(d, "201", Presence)
	eventually(t, "it is shown again", func() bool { return kamailiotest.Shown(s.document("201")) == presence.DND })
	reads(t, d, "201", presence.DND)
}

func TestWhatWasForgottenIsPutBackAlsoWhenAWriteWasTurnedAway(t *testing.T) {
	t.Parallel()
	s, d := pair(t, nil) // an hour: nothing is refreshed meanwhile
	set(t, d, "201", presence.DND)
	s.forget()
	s.answer(code(412), code(500))
	wantKind(t, d.SetStatus(t.Context(), "201", presence.Away), fault.Unavailable)
	eventually(t, "it is shown again", func() bool { return kamailiotest.Shown(s.document("201")) == presence.DND })
}

// Otherwise an old status would come back over one that the caller knows to be, or
// not to be, written.
func TestWhatIsInDoubtIsNotPutBack(t *testing.T) {
	t.Parallel()
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	s.inject(pbxtest.LostAnswer)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantKind(t, d.SetStatus(ctx, "201", presence.Away), fault.Timeout)
	s.inject(pbxtest.None)
	s.forget()
	dueNow(d, "201", Presence)
	eventually(t, "the keeper gives it up", unscheduled(d, "201", Presence))
	if document := s.document("201"); document != "" {
		t.Errorf("the server shows\n%s", document)
	}
	set(t, d, "201", presence.Lunch) // and a new write ends the doubt
	s.forget()
	dueNow(d, "201", Presence)
	eventually(t, "it is shown again", func() bool { return kamailiotest.Shown(s.document("201")) == presence.Lunch })
}

func TestTheKeeperOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	for _, f := range []pbxtest.Fault{pbxtest.Down, pbxtest.Throttle} {
		t.Run(string(f), func(t *testing.T) {
			s, d := pair(t, nil)
			set(t, d, "201", presence.DND)
			first := held(d, "201")
			s.inject(f)
			dueNow(d, "201", Presence)
			eventually(t, "a refresh failed", func() bool { return len(refreshes(s, 1)) > 0 })
			s.inject(pbxtest.None)
			eventually(t, "it is prolonged", func() bool { return held(d, "201").Expires.After(first.Expires) })
			reads(t, d, "201", presence.DND)
		})
	}
}

// What has expired meanwhile may be old: its user reads that it is missing, and writes again.
func TestWhatAnOutageOutlivedIsLeftToItsUser(t *testing.T) {
	t.Parallel()
	s, d := pair(t, brief)
	set(t, d, "201", presence.DND)
	s.inject(pbxtest.Down)
	eventually(t, "it has expired", func() bool { return s.document("201") == "" })
	s.inject(pbxtest.None)
	eventually(t, "the keeper gives it up", unscheduled(d, "201", Presence))
	reads(t, d, "201", presence.Unset)
	if listed := d.(*driver).table.listed(); len(listed) != 1 {
		t.Errorf("listed: %v", listed) // so that Statuses tells
	}
	set(t, d, "201", presence.Away)
	reads(t, d, "201", presence.Away)
}

func TestWhatIsRefusedIsLeftAlone(t *testing.T) {
	t.Parallel()
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	set(t, d, "202", presence.DND)
	s.answer(code(403), code(404)) // to whichever is first, and to the other
	dueNow(d, "201", Presence)
	dueNow(d, "202", Presence)
	eventually(t, "two refreshes", func() bool { return len(refreshes(s, 2)) >= 2 })
	own := d.(*driver)
	eventually(t, "nothing is due soon", func() bool {
		at, any := due(d, Presence)
		return any && time.Until(at) > time.Minute && time.Until(at) <= refusedRest && len(own.table.listed()) == 1
	})
}

func TestManyPublicationsAreRefreshedInTime(t *testing.T) {
	t.Parallel()
	var extensions []identity.Extension
	for i := range 40 {
		extensions = append(extensions, identity.Extension("3"+string(rune('0'+i/10))+string(rune('0'+i%10))))
	}
	s := newServer(t, extensions...)
	config := s.config(UDP)
	config.Expires = 8 * time.Second
	d := open(t, config)
	for _, ext := range extensions {
		set(t, d, ext, presence.DND)
	}
	eventually(t, "each is refreshed", func() bool {
		times := make(map[string]int)
		for _, m := range s.messages() {
			times[m.user]++
		}
		for _, ext := range extensions {
			if times[string(ext)] < 2 {
				return false
			}
		}
		return true
	})
	for _, m := range refreshes(s, len(extensions)) {
		if m.body || m.etag == "" {
			t.Fatalf("one had expired before it was refreshed: %+v", m)
		}
	}
}

func TestTheNextProcessGoesOnFromWhatWasKept(t *testing.T) {
	t.Parallel()
	kept := newShelf()
	s, d := pair(t, func(_ *behaviour, c *Config) { c.Publications = kept })
	set(t, d, "201", presence.DND)
	tag := held(d, "201").ETag
	kept.Keep(Publication{Extension: "202", Event: Presence, ETag: "old", Status: presence.Away, Expires: time.Now().Add(-time.Hour)})
	d.Close()

	config := s.config(UDP)
	config.Publications = kept
	next := open(t, config)
	if listed := next.(*driver).table.listed(); len(listed) != 1 || listed[0] != "201" {
		t.Errorf("listed: %v", listed) // what has expired is nobody's present state
	}
	set(t, next, "201", presence.Away)
	set(t, next, "202", presence.Away)
	m := refreshes(s, 1)
	if len(m) != 2 || m[0].etag != tag || m[1].etag != "" {
		t.Errorf("the server received %+v", m)
	}
	s.answer(code(404))
	wantKind(t, next.SetStatus(t.Context(), "201", presence.DND), fault.NotFound)
	if all, _ := kept.All(t.Context()); len(all) != 1 || all[0].Extension != "202" {
		t.Errorf("kept: %+v", all)
	}
}

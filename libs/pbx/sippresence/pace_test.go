package sippresence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// thousands are kept publications that live for as long as all others.
func thousands(n int, life time.Duration) *shelf {
	s := newShelf()
	for i := range n {
		s.Keep(Publication{Extension: identity.Extension(fmt.Sprint(10000 + i)), Event: Presence, ETag: fmt.Sprintf("tag-%d", i), Status: presence.DND, Expires: time.Now().Add(life)})
	}
	return s
}

// spread says what is wrong with the times at which rows are due: more than a fifth of
// them in a tenth of the time from from to to, or one outside of it.
func spread(due []time.Time, from, to time.Time) string {
	tenths := make([]int, 10)
	for _, at := range due {
		if at.Before(from) || at.After(to) {
			return fmt.Sprintf("one is due at %v, not between %v and %v", at, from, to)
		}
		tenths[min(9, int(10*at.Sub(from)/to.Sub(from)))]++
	}
	if slices.Max(tenths) > len(due)/5 {
		return fmt.Sprintf("the tenths hold %v", tenths)
	}
	return ""
}

func dues(t *table) []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []time.Time
	for _, r := range t.rows {
		all = append(all, r.next)
	}
	return all
}

func TestThousandsAreSpreadBeforeTheyExpire(t *testing.T) {
	began := time.Now()
	all, err := newTable(t.Context(), thousands(5000, time.Hour), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if wrong := spread(dues(all), began, time.Now().Add(30*time.Minute)); wrong != "" {
		t.Error("after a start: " + wrong)
	}
	began = time.Now()
	for _, r := range all.all() {
		next := all.held(r)
		next.ETag, next.Expires = "next", began.Add(time.Hour)
		all.settle(r, next, nil)
	}
	if wrong := spread(dues(all), began.Add(29*time.Minute), time.Now().Add(49*time.Minute)); wrong != "" {
		t.Error("after a refresh of all: " + wrong)
	}
	once := make([]time.Time, 1000)
	for i := range once {
		once[i] = began
	}
	if spread(once, began, began.Add(time.Hour)) == "" {
		t.Error("what is all due at once is called spread")
	}
}

// What is late is caught up with at the keeper's pace: its bound holds at any moment,
// however slow the machine is. What was kept is read before it is prolonged.
func TestWhatIsLateIsNotSentAtOnce(t *testing.T) {
	t.Parallel()
	const late = 60
	s := newServer(t)
	kept := thousands(late, time.Minute)
	for _, p := range kept.all {
		s.users[string(p.Extension)] = &user{etag: p.ETag, expires: p.Expires, body: foreign(p.Status)}
	}
	config := s.config(UDP)
	config.Publications = kept
	began := time.Now()
	d := open(t, config)
	own := d.(*driver).table
	own.mu.Lock()
	for _, r := range own.rows {
		own.schedule(r, began)
	}
	own.mu.Unlock()
	eventually(t, "all are refreshed", func() bool {
		sent := len(sentBy(s, "PUBLISH"))
		if allowed := 1 + int(time.Since(began)/keeperGap); sent > allowed {
			t.Fatalf("%d were sent, %d are allowed", sent, allowed)
		}
		return sent >= late
	})
	eventually(t, "all are due later", func() bool {
		return !slices.ContainsFunc(dues(own), func(at time.Time) bool { return at.Before(began.Add(25 * time.Minute)) })
	})
	if reads := len(sentBy(s, "SUBSCRIBE")); reads != late {
		t.Errorf("%d were read for %d", reads, late)
	}
	if sent := sentBy(s, "PUBLISH"); len(sent) != late || slices.ContainsFunc(sent, func(m message) bool { return m.body || m.etag == "" }) {
		t.Errorf("%d were sent for %d", len(sent), late)
	}
}

// What people look at does not wait for what they see already.
func TestALampIsLitBeforeOthersAreProlonged(t *testing.T) {
	t.Parallel()
	const late = 200
	extensions := []identity.Extension{"201"}
	for i := range late {
		extensions = append(extensions, identity.Extension(fmt.Sprint(10000+i)))
	}
	s := newServer(t, extensions...)
	config := s.config(UDP)
	config.Lamps = presence.SetOf(presence.DND)
	d := open(t, config)
	for _, ext := range extensions[1:] {
		set(t, d, ext, presence.DND)
	}
	for _, ext := range extensions[1:] {
		quiet(t, d, ext)
	}
	before := len(lamps(s))
	for _, ext := range extensions[1:] {
		dueNow(d, ext, Dialog)
	}
	set(t, d, "201", presence.DND)
	eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
	if sent := len(lamps(s)) - before; sent > late/4 {
		t.Errorf("%d others were prolonged before", sent)
	}
}

func TestAFewLampsAreLitAtATime(t *testing.T) {
	t.Parallel()
	extensions := []identity.Extension{"301", "302", "303", "304", "305"}
	s := newServer(t, extensions...)
	config := s.config(UDP)
	config.Lamps = presence.SetOf(presence.DND)
	d := open(t, config)
	goOn := make(chan struct{})
	for range lampLanes {
		s.answerLamps(func(req *sip.Request) *sip.Response { <-goOn; return code(500)(req) })
	}
	for _, ext := range extensions {
		set(t, d, ext, presence.DND) // which waits for no lamp but its own
	}
	eventually(t, "some are under way", func() bool { return len(lamps(s)) == lampLanes })
	for range 3 {
		reads(t, d, "305", presence.DND)
	}
	if under := len(lamps(s)); under != lampLanes {
		t.Errorf("%d are under way", under)
	}
	close(goOn)
	for _, ext := range extensions {
		eventually(t, "the lamp is red", lampIs(s, ext, "confirmed"))
	}
}

// sentBy are the messages of a method.
func sentBy(s *server, method string) []message {
	return slices.DeleteFunc(s.messages(), func(m message) bool { return m.method != method })
}

func TestAnAgendaIsInOrder(t *testing.T) {
	a, start := newAgenda(), time.Now()
	all := make([]*row, 50)
	for i := range all {
		all[i] = &row{place: nowhere, next: start.Add(time.Duration(i*37%50) * time.Second)}
		a.put(all[i])
	}
	all[7].next = time.Time{} // never
	a.put(all[7])
	all[9].next = start.Add(-time.Hour) // first
	a.put(all[9])
	all[11].next = start.Add(time.Hour) // last
	a.put(all[11])
	var got []*row
	for at, any := a.due(); any; at, any = a.due() {
		r := a.first()
		if r.next != at || r.place != nowhere {
			t.Errorf("due at %v, taken off at %v and still in place %d", at, r.next, r.place)
		}
		got = append(got, r)
	}
	if len(got) != 49 || got[0] != all[9] || got[48] != all[11] || slices.Contains(got, all[7]) {
		t.Errorf("%d rows, in the wrong order or with one that is never due", len(got))
	}
	if !slices.IsSortedFunc(got, func(x, y *row) int { return x.next.Compare(y.next) }) {
		t.Error("not in order")
	}
}

func TestARecoveryTakesLongerEachTime(t *testing.T) {
	var r recovery
	now := time.Now()
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		until := r.failed(now, 0)
		if until.Sub(now) != want {
			t.Errorf("rests for %v instead of %v", until.Sub(now), want)
		}
		if again := r.failed(now, 0); again != until {
			t.Error("two failures at the same time are two")
		}
		now = until
	}
	if until := r.failed(now, time.Hour); until.Sub(now) != time.Hour {
		t.Errorf("the server names an hour, it rests for %v", until.Sub(now))
	}
	r.succeeded()
	if r.over().Sub(now) != time.Hour {
		t.Error("a success makes it forget when to come back")
	}
	now = now.Add(time.Hour)
	if until := r.failed(now, 0); until.Sub(now) != time.Second {
		t.Errorf("after a success it rests for %v", until.Sub(now))
	}
}

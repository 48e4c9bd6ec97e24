package poller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/wire"
)

// hinting does with notifications what webhook-receiver does with those that come late:
// a hint for each user.
func (s *stage) hinting(w http.ResponseWriter, _ *http.Request, body []byte) {
	var post struct {
		Value []struct{ Resource string }
	}
	if err := json.Unmarshal(body, &post); err != nil {
		s.t.Error(err)
	}
	for _, item := range post.Value {
		subject, data := wire.Hint{Kind: "presence", Tenant: contoso, ID: path.Base(item.Resource), Cause: "test", SeenAt: s.bus.Now()}.Encode()
		if _, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// quickEars hears in tenths of a second what production hears in minutes.
var quickEars = coverage.Hearing{Late: 400 * time.Millisecond, Settle: 100 * time.Millisecond, Few: 3, Again: 2 * time.Second, AgainMost: 2 * time.Second}

// listening runs a poller that sweeps, with one lane whose notifications are received.
func (s *stage) listening(linked int, hearing coverage.Hearing) {
	s.t.Helper()
	s.listeningAt(linked, hearing, s.endpoint(s.hinting).URL)
}

func (s *stage) listeningAt(linked int, hearing coverage.Hearing, url string) {
	s.t.Helper()
	s.keep(linked, func(c *TenantConfig) { c.Sweep, c.PublicURL, c.Keep.Hearing = 30*time.Millisecond, url, hearing })
}

// flip changes a user's presence.
func (s *stage) flip(user identity.User, n int) {
	s.set(user, []string{"Busy", "Away"}[n%2], []string{"InACall", "Away"}[n%2])
}

// Pain 4: a subscription that is alive and silent for days.
func TestASilentSubscriptionIsFoundAndMadeAnew(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, nil)
	once := quickEars
	once.Again = never
	s.listening(3, once)
	first, _ := s.only("")
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultSilent})
	must(t, err)
	n := 0
	s.eventually("the silence is not noticed", func() bool {
		s.flip(s.users()[n%3], n/3)
		n++
		<-time.After(20 * time.Millisecond)
		there := s.tenant().Subscriptions()
		return len(there) == 1 && there[0].ID != first.ID
	})
	if lane := s.does("anna", wire.LaneSilent); lane.Silences != 1 || lane.Detail == "" {
		t.Errorf("%+v", lane)
	}
	if s.metric("offhook_lane_silences_total", "anna") != 1 || s.metric("offhook_lane_failing", "anna") != 1 {
		t.Error("no metric says so")
	}
	// The new one tells of changes again: that is all it needs.
	second, _ := s.only(first.ID)
	s.tenant().ClearFaults()
	s.eventually("a lane that tells of changes counts as silent", func() bool {
		s.flip(s.users()[0], n)
		n++
		<-time.After(20 * time.Millisecond)
		lane := s.lane("anna")
		return lane.State == wire.LaneListening && lane.Silences == 1 && !lane.HeardAt.IsZero()
	})
	if now, _ := s.only(""); now.ID != second.ID {
		t.Error("it was made anew again")
	}
	s.eventually("what was silent is not stored", func() bool { return s.wrong(contoso, s.users()[:3]) == "" })
}

// The control: the same changes, swept before they are told of, by a lane that tells of
// them late.
func TestALaneThatIsLateIsNotTakenForSilent(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, nil)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultLate, Delay: time.Second})
	must(t, err)
	patient := quickEars
	patient.Late = 5 * time.Second // many times what a slow machine takes
	s.listening(3, patient)
	first, _ := s.only("")
	began := time.Now()
	for n := 0; time.Since(began) < patient.Late+2*time.Second; n++ { // longer than a silence takes to be found
		s.flip(s.users()[n%3], n/3)
		<-time.After(20 * time.Millisecond)
	}
	s.eventually("nothing was heard", func() bool { return !s.lane("anna").HeardAt.IsZero() })
	if now, _ := s.only(""); now.ID != first.ID || s.lane("anna").Silences != 0 {
		t.Errorf("taken for silent: %+v", s.lane("anna"))
	}
}

// A sweep that has seen what a lane had told proves no silence, however often. One that
// finds something else does.
func TestASweepThatConfirmsALaneDoesNotMakeItSilent(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, nil)
	s.keep(3, func(c *TenantConfig) { c.Keep.Hearing = quickEars })
	s.does("anna", wire.LaneListening)
	first, _ := s.only("")
	store := func(user int, value string, source presence.Source) (at time.Time) {
		at = s.bus.Now()
		s.publish(s.users()[user], presence.TeamsReading{Availability: value, Activity: value, SeenAt: at, Source: source})
		return at
	}
	<-time.After(2 * quickEars.Settle)
	for user := range quickEars.Few {
		at := store(user, "Busy", presence.Notification)
		s.eventually("nothing was heard", func() bool { return s.lane("anna").HeardAt.Equal(at) })
	}
	for user := range quickEars.Few {
		store(user, "Busy", presence.Poll)
	}
	<-time.After(4 * quickEars.Late)
	if now, _ := s.only(""); now.ID != first.ID || s.lane("anna").Silences != 0 {
		t.Errorf("taken for silent: %+v", s.lane("anna"))
	}
	n := 0
	s.eventually("control: the silence is not noticed", func() bool {
		n++
		store(n%quickEars.Few, fmt.Sprint("a", n), presence.Poll)
		<-time.After(20 * time.Millisecond)
		return s.lane("anna").Silences > 0
	})
}

// A lane that stays silent is made anew less and less often, not in a loop.
func TestALaneThatStaysSilentIsMadeAnewWithPauses(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, nil)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultSilent})
	must(t, err)
	s.listening(3, quickEars)
	began, n := time.Now(), 0
	s.eventually("not made anew twice", func() bool {
		s.flip(s.users()[n%3], n/3)
		n++
		<-time.After(20 * time.Millisecond)
		return s.lane("anna").Silences == 2
	})
	if took := time.Since(began); took < quickEars.Again {
		t.Errorf("made anew twice within %v", took)
	}
}

// Graph cannot change whom a subscription names: it is ended and made anew, and what
// changes in between is told to nobody. The sweep goes on across it, whatever hinders
// the new one.
func TestNoChangeIsMissedByMoreThanASweepWhileALaneIsReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, nil)
	var shut atomic.Bool // nobody answers Graph's handshake
	expected := s.expected()
	patient := quickEars
	patient.Late = never
	s.listeningAt(2, patient, s.serve(func(key string) bool { return !shut.Load() && expected(key) }, s.hinting).URL)
	first, _ := s.only("")
	users := s.users()[:3]
	shut.Store(true)
	s.link(contoso, users...) // the lane has to change
	s.eventually("the lane does not fail", func() bool { return s.lane("anna").State == wire.LaneFailing })
	gap := 0
	for n := range 10 {
		if len(s.tenant().Subscriptions()) == 0 {
			gap++
		}
		s.flip(users[n%3], n)
		s.swept(contoso) // one that began after the change
		if wrong := s.wrong(contoso, users); wrong != "" {
			t.Errorf("after a sweep: %s", wrong)
		}
	}
	shut.Store(false)
	now, record := s.only(first.ID)
	if now.Users != 3 || len(record.Users) != 3 || s.does("anna", wire.LaneListening).Users != 3 {
		t.Errorf("%+v, %+v", now, record)
	}
	if gap == 0 {
		t.Error("control: there was no time without a subscription")
	}
}

// Those who change most have places first (PRODUCT 2.6), once a whole day says so.
func TestWhoChangesMostGetsAPlace(t *testing.T) {
	t.Parallel()
	s := newStage(t, graph.MaxPresences+2, nil)
	s.keep(graph.MaxPresences+2, func(c *TenantConfig) { c.Keep.Day = 3 * time.Second })
	var lively identity.User
	s.eventually("nobody is left out of a full lane", func() bool {
		records := s.records()
		if len(records) != 1 || len(records[0].Users) != graph.MaxPresences {
			return false
		}
		for _, user := range s.users() {
			if !slices.Contains(records[0].Users, user) {
				lively = user
			}
		}
		return lively != ""
	})
	n := 0
	s.eventually("who changes all the time is left out", func() bool {
		n++
		subject, data := wire.Presence{Person: identity.Person{Tenant: contoso, User: lively},
			Reading: presence.TeamsReading{Availability: fmt.Sprint("a", n), SeenAt: s.bus.Now(), Source: presence.Notification}}.Encode()
		_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
		must(t, err)
		<-time.After(20 * time.Millisecond)
		records := s.records()
		return len(records) == 1 && slices.Contains(records[0].Users, lively)
	})
}

// webhook-receiver opens notifications in a process of its own; what it stores says that
// a notification told of it. What a sweep stored says nothing for the lane.
func TestALaneIsHeardByWhatAnotherProcessOpened(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, nil)
	s.keep(2, nil)
	s.does("anna", wire.LaneListening)
	user, stranger := s.users()[0], s.users()[2]
	store := func(who identity.User, value string, source presence.Source) time.Time {
		at := s.bus.Now()
		subject, data := wire.Presence{Person: identity.Person{Tenant: contoso, User: who}, Reading: presence.TeamsReading{Availability: value, SeenAt: at, Source: source}}.Encode()
		_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
		must(t, err)
		return at
	}
	store(user, "Busy", presence.Poll)
	store(stranger, "Busy", presence.Notification) // on no lane
	at := store(user, "Away", presence.Notification)
	s.eventually("nothing was heard", func() bool { return !s.lane("anna").HeardAt.IsZero() })
	if heard := s.lane("anna").HeardAt; !heard.Equal(at) {
		t.Errorf("heard at %v, told at %v", heard, at)
	}
}

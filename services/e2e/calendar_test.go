package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
)

// soon is a whole second shortly after now: timers of the broker know no others.
func soon(in time.Duration) time.Time {
	return time.Now().Add(in).Truncate(time.Second).Add(time.Second)
}

func meeting(t *testing.T, w *world.World, user string, from, to time.Time) string {
	t.Helper()
	id, err := w.Tenant.AddMeeting(user, graphsim.Meeting{Start: from, End: to})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Somebody who uses a desk phone and never opens Teams. The calendar is read every
// 15 minutes, so that only a notification can be in time.
func TestAMeetingReachesThePhoneByNotificationAndEndsThere(t *testing.T) {
	w := world.New(t, world.Options{Webhook: true})
	w.Set("anna", "Offline", "Offline")
	w.Start()
	w.Settled(1)
	w.Eventually(30*time.Second, func() string {
		for _, s := range w.Tenant.Subscriptions() {
			if strings.Contains(s.Resource, "/events") {
				return ""
			}
		}
		return "no subscription to events"
	})
	from := soon(3 * time.Second)
	meeting(t, w, "anna", from, from.Add(3*time.Second))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if now := time.Now(); now.Before(from) {
		t.Errorf("dnd %v before the meeting", from.Sub(now))
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	if v := w.Tenant.Violations(); len(v) > 0 {
		t.Errorf("Graph's rules were broken: %v", v)
	}
}

func TestACancelledMeetingLeavesThePhoneAlone(t *testing.T) {
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Calendar})
	w.Start()
	w.Settled(1)
	now := time.Now()
	id := meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if err := w.Tenant.CancelMeeting("anna", id); err != nil {
		t.Fatal(err)
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
}

func TestWhereTeamsMayNotBeReadTheCalendarDecides(t *testing.T) {
	w := world.New(t, world.Options{Webhook: true})
	if err := w.Tenant.Revoke(world.App, "Presence.Read.All"); err != nil {
		t.Fatal(err)
	}
	if err := w.Tenant.Revoke(world.App, "Presence.ReadWrite.All"); err != nil { // which permits reading too
		t.Fatal(err)
	}
	now := time.Now()
	meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Start()
	w.Shows(world.Extension(0), presence.DND, 60*time.Second)
}

// Offhook keeps nothing of what meetings are about, where they are and with whom:
// not on the bus, not in a bucket, not in a log, not in a trace, not on disk.
func TestNothingOfAMeetingIsKept(t *testing.T) {
	log := &journal{}
	w := world.New(t, world.Options{Webhook: true, LogTo: log})
	w.Set("anna", "Offline", "Offline")
	w.Start()
	w.Settled(1)
	now := time.Now()
	meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if n := search(t, w, graphsim.Marker, log); n != 0 {
		t.Errorf("found in %d places", n)
	}
	// What is searched for is found where it is.
	if n := search(t, w, "graph-poller", log); n == 0 {
		t.Error("the search does not find what is there")
	}
}

// journal is a log that may be read while it is written.
type journal struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.String()
}

// search counts the messages of all streams, buckets included, the lines of the log
// and the files of the installation that hold a text. Spans leave a process only to a
// collector, and none is configured; their attributes are those of the log.
func search(t *testing.T, w *world.World, text string, log *journal) (found int) {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "search"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name := range b.JetStream().StreamNames(t.Context()).Name() {
		found += messagesWith(t, b.JetStream(), name, text)
	}
	found += strings.Count(log.String(), text)
	err = filepath.WalkDir(w.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // streams are rewritten while we look
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			found++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func messagesWith(t *testing.T, js jetstream.JetStream, stream, text string) (found int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := s.GetMsg(ctx, sequence)
		if err != nil {
			continue // replaced since
		}
		if strings.Contains(fmt.Sprint(m.Subject, m.Header, string(m.Data)), text) {
			found++
		}
	}
	return found
}

package poller

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// whisper is in everything that a person wrote into a meeting.
const whisper = "NIGHTINGALE"

// calendarHost is a Graph that answers batches with meetings full of whispers,
// whatever was selected, and with errors that quote them.
func (s *stage) calendarHost(bodies map[identity.User]string) *msgraph.Client {
	s.t.Helper()
	certificate, err := s.graph.Authority().Issue("127.0.0.1")
	must(s.t, err)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch struct {
			Requests []struct{ ID, URL string }
		}
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil || r.URL.Path != "/v1.0/$batch" {
			http.Error(w, "no batch", http.StatusBadRequest)
			return
		}
		var responses []string
		for _, each := range batch.Requests {
			user := identity.User(strings.Split(each.URL, "/")[2])
			status, body := 200, bodies[user]
			switch {
			case strings.Contains(each.URL, "mailboxSettings"):
				body = `{"timeZone":"` + whisper + ` Standard Time"}`
			case body == "":
				status, body = 500, fmt.Sprintf(`{"error":{"code":"ErrorInternalServerError","message":"cannot show %s"}}`, whisper)
			}
			responses = append(responses, fmt.Sprintf(`{"id":%q,"status":%d,"body":%s}`, each.ID, status, body))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"responses":[`+strings.Join(responses, ",")+`]}`)
	}))
	host.TLS = s.tls(certificate)
	host.StartTLS()
	s.t.Cleanup(host.Close)
	cloud, err := graph.CloudNamed("")
	must(s.t, err)
	cloud, err = cloud.At(s.graph.LoginURL(), host.URL)
	must(s.t, err)
	client, err := msgraph.New(msgraph.Config{Tenant: contoso, Directory: directories[contoso], ClientID: app, Cloud: cloud,
		Roots: s.graph.Authority().Pool(), Secret: secret.NewValue("app-secret")})
	must(s.t, err)
	s.t.Cleanup(client.Close)
	return client
}

// written is an event in which somebody wrote.
func written(start, end, showAs string) string {
	return fmt.Sprintf(`{"id":"AA","subject":"%[4]s","bodyPreview":"about %[4]s","body":{"content":"%[4]s"},"location":{"displayName":"%[4]s"},`+
		`"attendees":[{"emailAddress":{"name":"%[4]s","address":"%[4]s@example.com"}}],"organizer":{"emailAddress":{"name":"%[4]s"}},`+
		`"start":%[1]s,"end":%[2]s,"showAs":"%[3]s","isAllDay":false,"responseStatus":{"response":"accepted"}}`, start, end, showAs, whisper)
}

// lent is a client whose calendars are another's.
type lent struct {
	Client
	calendars graph.CalendarReader
}

func (l lent) CalendarViews(ctx context.Context, requests []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	return l.calendars.CalendarViews(ctx, requests)
}

func (l lent) MailboxZones(ctx context.Context, users []identity.User) iter.Seq[graph.ZoneAnswer] {
	return l.calendars.MailboxZones(ctx, users)
}

// everything is all that the broker holds and the service told about itself.
func (s *stage) everything(log *logtest.Log) string {
	s.t.Helper()
	var all strings.Builder
	all.WriteString(log.String())
	for _, stream := range topology.Streams() {
		if stream.Keeping == topology.Queue {
			continue // not of this service, and nothing can be read there without taking it
		}
		must(s.t, s.bus.History(s.t.Context(), stream.Name, ">", func(m bus.Message) error {
			fmt.Fprintf(&all, "%s %v %s\n", m.Subject, m.Header, m.Data)
			return nil
		}))
	}
	for _, bucket := range topology.Buckets() {
		must(s.t, s.bucket(bucket.Name).Each(s.t.Context(), ">", func(e store.Entry) error {
			fmt.Fprintf(&all, "%s %s\n", e.Key, e.Value)
			return nil
		}))
	}
	families, err := s.telemetry.Registry.Gather()
	must(s.t, err)
	for _, family := range families {
		all.WriteString(family.String())
	}
	return all.String()
}

// Overlong, inverted and zone-less times come as Graph would write them; how each is
// judged alone is libs/graph/msgraph's to show (TestWhatACalendarHolds).
func TestNothingThatAPersonWroteIsOnTheBusOrInALog(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users...)
	start := time.Now().UTC().Truncate(time.Minute).Add(time.Hour)
	at := func(after time.Duration, zone string) string {
		return fmt.Sprintf(`{"dateTime":%q,"timeZone":%q}`, start.Add(after).Format("2006-01-02T15:04:05.0000000"), zone)
	}
	bad := []string{
		written(at(0, whisper+" Standard Time"), at(time.Hour, "UTC"), "busy"),
		written(at(0, ""), at(time.Hour, ""), "busy"),
		written(at(2*time.Hour, "UTC"), at(time.Hour, "UTC"), "busy"),
		written(at(time.Hour, "UTC"), at(time.Hour, "UTC"), "busy"),
		written(at(0, "UTC"), at(3000*24*time.Hour, "UTC"), "busy"),
		written(`{"dateTime":"`+whisper+`","timeZone":"UTC"}`, at(time.Hour, "UTC"), "busy"),
		written(at(0, "UTC"), "null", "busy"),
		`"` + whisper + `"`,
	}
	good := written(at(0, "UTC"), at(time.Hour, "UTC"), "busy")
	client := s.calendarHost(map[identity.User]string{
		users[0]: `{"value":[` + strings.Join(append(bad, good), ",") + `]}`,
		users[1]: `{"value":"` + whisper + `"}`,
		// the third one's mailbox answers 500 with a message that quotes
	})
	conf, watch := s.config(never)
	watch.Client = lent{watch.Client, client}
	conf.Presence, conf.Calendar, conf.Calendars, conf.Again = false, true, 50*time.Millisecond, 50*time.Millisecond
	conf.Rules = mustRules(t, calendar.Rule{AttendeesMin: new(2), As: "free"}) // so that attendees are asked for
	log := &logtest.Log{}
	s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.run(conf)
	s.shows(users[0], calendar.Interval{From: start, To: start.Add(time.Hour), Class: calendar.Busy})
	s.hint("event", string(users[0]), "test")
	s.hint("event", string(users[2]), "test")
	s.eventually("not all bad events are counted", func() bool { return s.metric("offhook_calendar_dropped_events_total", "") >= float64(len(bad)) })
	s.eventually("the broken mailboxes are not counted", func() bool {
		return s.metric("offhook_calendar_reads_total", "unknown") > 0 && s.metric("offhook_calendar_reads_total", "unavailable") > 0
	})
	s.eventually("nothing is logged", func() bool { return strings.Contains(log.String(), "calendars could not be read") })
	all := s.everything(log)
	if strings.Contains(strings.ToUpper(all), whisper) {
		i := strings.Index(strings.ToUpper(all), whisper)
		t.Errorf("it is there: %s", all[max(0, i-200):min(len(all), i+50)])
	}
	// Controls: the search sees facts, hints, records of links, metrics and the log.
	for _, there := range []string{wire.CalendarSubject(identity.Person{Tenant: contoso, User: users[0]}), "m365.hint.event", "lease taken", "offhook_calendar_reads", `"lines"`} {
		if !strings.Contains(all, there) {
			t.Errorf("control: %s is not found", there)
		}
	}
}

func mustRules(t *testing.T, rules ...calendar.Rule) calendar.Rules {
	t.Helper()
	parsed, err := calendar.ParseRules(rules)
	must(t, err)
	return parsed
}

package bench

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

func peersTable() Table {
	return Table{
		Name: "peers",
		What: "Every calendar read once, as graph-poller does it (batches of 20, 500 users in a call with 10 batches under way, 4 calls at a time), while Graph answers late and refuses one mailbox once with 429. Beside it stands what was measured of mscalendar with the same load. Floor: the latency times the batches, divided by those under way.",
		Aim:  "5,000 calendars at 100 ms in under 6 s; the 429 costs its own mailbox alone",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"calendars", "latency", "took", "floor", "read at once", "read later", "not read", "mscalendar took", "mscalendar read"}}
			for _, users := range b.Sizes.Calendars {
				for _, latency := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
					if err := calendarSweep(ctx, &r, users, latency); err != nil {
						return r, fmt.Errorf("%d calendars at %v: %w", users, latency, err)
					}
				}
			}
			r.note("mscalendar was measured with 5,000 users at 100 ms on two CPUs: one 429 ended its sweep, with nobody updated and nothing said.")
			r.note("The table batch has the answer to a POST of 100 items (Wazo: 10.2 s at 100 ms), pipeline the sustained rate (Wazo: 57/s, mscalendar: 4.7/s at 100 ms; 229/s and 24/s at 20 ms), burst 5,000 at once (mscalendar drops 3,976), with the share of what RSA alone allows.")
			r.note("Be fair: Wazo was measured with stubs for its database and bus, which favours it, and with six threads because of two CPUs; mscalendar's notifications do more, a card in a chat, than a change of state.")
			r.note("Nested meetings: mscalendar ends 100 minutes early. Here 100,000 generated calendars agree with an oracle (TestRandomCalendarsAgreeWithTheOracle in libs/core/calendar).")
			return r, nil
		},
	}
}

// calendarCalls and calendarsACall are how graph-poller reads calendars.
const (
	calendarCalls  = 4
	batchesACall   = 10 // of one call that are under way at a time (libs/graph/msgraph)
	calendarsACall = 500
)

func calendarSweep(ctx context.Context, r *Report, users int, latency time.Duration) error {
	sim, err := graphsim.Start(ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{{
		DirectoryID: benchDirectory, Domain: "contoso.example", Users: users,
		Apps: []graphsim.App{{ClientID: benchApp, Secret: secret.NewValue("simulated")}},
	}}})
	if err != nil {
		return err
	}
	defer func() { _ = sim.Close() }()
	tenant := sim.Tenant("contoso")
	var all []identity.User
	for _, id := range tenant.UserIDs() {
		all = append(all, identity.User(id))
	}
	client, err := benchClient(sim.GraphURL(), sim.Authority().Pool())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, f := range []graphsim.Fault{
		{Kind: graphsim.FaultLatency, Path: "$batch", Delay: latency},
		{Kind: graphsim.FaultStatus, Path: "calendarView", User: string(all[len(all)/2]), RetryAfter: "1", Count: 1},
	} {
		if _, err := tenant.Fault(f); err != nil {
			return err
		}
	}
	began := time.Now()
	var read, never atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(calendarCalls)
	for some := range slices.Chunk(all, calendarsACall) {
		g.Go(func() error { return readCalendars(gctx, client, some, &read, &never) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	batches := (users + 19) / 20
	floor := time.Duration(batches) * latency / (calendarCalls * batchesACall)
	theirs, updated := "", ""
	if latency == 100*time.Millisecond {
		theirs, updated = "25.3 s", "0"
	}
	const view = "/v1.0/users/{user}/calendarView"
	asked := sim.Requests()
	refused, views := asked.Of("GET", view, http.StatusTooManyRequests), asked.Of("GET", view, 0)
	r.row(users, latency, took, floor, read.Load()-int64(refused), refused, never.Load(), theirs, updated)
	r.check(never.Load() == 0 && int(read.Load()) == users, "%d of %d calendars were not read", never.Load(), users)
	r.check(refused == 1 && views == users+1, "one mailbox answered 429 once, and of %d calendars %d were refused, and %d asked for: more was read again than that one", users, refused, views)
	return nil
}

// readCalendars reads calendars. One that Graph puts off for a moment is read once more
// inside of the call, when it asked for.
func readCalendars(ctx context.Context, client *msgraph.Client, users []identity.User, read, never *atomic.Int64) error {
	var requests []graph.CalendarRequest
	now := time.Now()
	for _, user := range users {
		requests = append(requests, graph.CalendarRequest{User: user, From: now.Add(-time.Hour), To: now.Add(36 * time.Hour)})
	}
	for a := range client.CalendarViews(ctx, requests) {
		switch {
		case a.Err == nil:
			read.Add(1)
		case fault.KindOf(a.Err) == fault.Throttled:
			never.Add(1)
		default:
			return a.Err
		}
	}
	return nil
}

// benchClient is a client of the bench's app.
func benchClient(url string, roots *x509.CertPool) (*msgraph.Client, error) {
	cloud, err := graph.CloudNamed("")
	if err != nil {
		return nil, err
	}
	if cloud, err = cloud.At(url, url); err != nil {
		return nil, err
	}
	return msgraph.New(msgraph.Config{Tenant: benchTenant, Directory: benchDirectory, ClientID: benchApp, Cloud: cloud, Secret: secret.NewValue("simulated"), Roots: roots})
}

package poller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// listed is a Subscriber that only lists, and counts.
type listed struct {
	Client
	mu    sync.Mutex
	lists []time.Time
	took  time.Duration
	all   []graph.Subscription
}

func (l *listed) Subscriptions(context.Context) ([]graph.Subscription, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists = append(l.lists, time.Now())
	<-time.After(l.took)
	return l.all, nil
}

func TestALongListIsReadMoreRarely(t *testing.T) {
	s := newStage(t, 1, nil)
	k := s.keeper(&listed{Client: s.client(contoso, nil), took: 50 * time.Millisecond}, 0)
	k.t.conf.Events.List = 10 * time.Millisecond
	k.startList(t.Context())
	k.listings.Wait()
	if rest := k.list.next.Sub(k.list.ended); rest < listRest*50*time.Millisecond {
		t.Errorf("after a list of 50 ms the next one comes in %v", rest)
	}
	k.startList(t.Context())
	if k.list.under {
		t.Error("it is read again at once")
	}
	k.list.wanted = true
	s.eventually("a list that would explain something is not read", func() bool { k.startList(t.Context()); return k.list.under })
	k.listings.Wait()
}

// keeper is a keeper at rest that holds a subscription for each of so many users.
func (s *stage) keeper(client Client, users int) *eventKeeper {
	s.t.Helper()
	p := &Poller{bus: s.bus, links: links.NewMirror(), options: options.NewMirror(Options{}.configured, nil), subscriptions: s.bucket(topology.Subscriptions)}
	var err error
	p.metrics, err = newMetrics(noop.NewMeterProvider().Meter("test"))
	must(s.t, err)
	pt := &tenant{p: p, client: client, conf: TenantConfig{ID: contoso, Calendar: true, Subscribe: true, PublicURL: "https://offhook.example.com"}.withDefaults()}
	k := &eventKeeper{t: pt, wake: make(chan struct{}, 1), held: map[identity.User]*heldEvent{}, users: map[string]identity.User{}, readable: map[identity.User]bool{}}
	now := s.bus.Now()
	for i := range users {
		user := identity.User(fmt.Sprintf("%08x-0000-0000-0000-000000000000", i))
		k.readable[user] = true
		k.hold(user, generation{fmt.Sprint("key", i), subscription.Record{Resource: subscription.ResourceEvent, ID: fmt.Sprint("sub", i), URL: pt.conf.PublicURL, Users: []identity.User{user}, Made: now, Expires: now.Add(askEventLife)}})
	}
	return k
}

func TestWhatIsDueAboutASubscription(t *testing.T) {
	s := newStage(t, 1, nil)
	at := s.bus.Now()
	const who = identity.User("00000000-0000-0000-0000-000000000000")
	tests := []struct {
		name    string
		change  func(k *eventKeeper, h *heldEvent)
		wanted  bool
		want    jobKind
		nothing time.Duration // until something is due
	}{
		{"one with a long life", func(*eventKeeper, *heldEvent) {}, true, "", time.Minute},
		{"one at half of its life", func(_ *eventKeeper, h *heldEvent) { h.record.Expires = at.Add(graph.MaxEventLife / 2) }, true, jobRenew, 0},
		{"one that will be there in ten seconds", func(_ *eventKeeper, h *heldEvent) {
			h.record.Expires = at.Add(graph.MaxEventLife/2 + 10*time.Second)
		}, true, "", 10 * time.Second},
		{"one that expired by our clock and perhaps not by Graph's", func(_ *eventKeeper, h *heldEvent) { h.record.Expires = at.Add(-clockSkew) }, true, jobRenew, 0},
		{"one that expired by every clock", func(_ *eventKeeper, h *heldEvent) { h.record.Expires = at.Add(-clockSkew - time.Second) }, true, jobGone, 0},
		{"one whose user is not linked", func(*eventKeeper, *heldEvent) {}, false, jobEnd, 0},
		{"one that calls an old address", func(_ *eventKeeper, h *heldEvent) { h.record.URL = "https://old.example.com" }, true, jobMove, 0},
		{"one that the list lacks", func(_ *eventKeeper, h *heldEvent) { h.doubt = true }, true, jobCheck, 0},
		{"one that Graph removed", func(_ *eventKeeper, h *heldEvent) { h.said = notification.SubscriptionRemoved }, true, jobCheck, 0},
		{"one that Graph wants renewed, just made", func(_ *eventKeeper, h *heldEvent) { h.said = notification.ReauthorizationRequired }, true, "", time.Minute},
		{"one that Graph wants renewed, ten minutes later", func(_ *eventKeeper, h *heldEvent) {
			h.said, h.record.Made = notification.ReauthorizationRequired, at.Add(-10*time.Minute)
		}, true, jobRenew, 0},
		{"the same, renewed a minute ago", func(_ *eventKeeper, h *heldEvent) {
			h.said, h.record.Made, h.record.Renewed = notification.ReauthorizationRequired, at.Add(-time.Hour), at.Add(-9*time.Minute-30*time.Second)
		}, true, "", 30 * time.Second},
		{"one that is to be renewed and rests after a failure", func(_ *eventKeeper, h *heldEvent) {
			h.record.Expires, h.pause.until = at.Add(time.Hour), at.Add(5*time.Second)
		}, true, "", 5 * time.Second},
		{"none", func(k *eventKeeper, _ *heldEvent) { delete(k.held, who) }, true, jobCreate, 0},
		{"none, and no mailbox", func(k *eventKeeper, _ *heldEvent) { delete(k.held, who); k.readable[who] = false }, true, "", time.Minute},
		{"none, and none wanted", func(k *eventKeeper, _ *heldEvent) { delete(k.held, who) }, false, "", time.Minute},
		{"a stray", func(k *eventKeeper, h *heldEvent) { k.strays, h.doubt = []generation{h.generation}, true }, true, jobStray, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := s.keeper(nil, 1)
			k.held[who].record.Made = at
			k.held[who].record.Expires = at.Add(askEventLife)
			test.change(k, k.held[who])
			jobs, next := k.plan(at, map[identity.User]bool{who: test.wanted})
			var got jobKind
			if len(jobs) > 0 {
				got = jobs[0].kind
			}
			if got != test.want || len(jobs) > 1 {
				t.Errorf("%v, want %q", jobs, test.want)
			}
			if got == "" && next != test.nothing {
				t.Errorf("looks again in %v, want %v", next, test.nothing)
			}
		})
	}
}

// It is a print and no assertion: machines differ.
func TestPlanningForAHundredThousand(t *testing.T) {
	s := newStage(t, 1, nil)
	const n = 100_000
	k := s.keeper(nil, n)
	wanted := map[identity.User]bool{}
	for user := range k.held {
		wanted[user] = true
	}
	began := time.Now()
	jobs, _ := k.plan(s.bus.Now(), wanted)
	took := time.Since(began)
	all := make([]graph.Subscription, 0, n)
	for user, h := range k.held {
		all = append(all, graph.Subscription{ID: h.record.ID, Resource: "users/" + string(user) + "/events", Notify: k.t.conf.PublicURL + "/graph/" + strings.Repeat("0", 64) + "/n"})
	}
	began = time.Now()
	_, events := graph.EventUser(all[0].Resource)
	for _, is := range all {
		graph.EventUser(is.Resource)
		k.keyOf(is.Notify)
	}
	t.Logf("%d held: planned in %v, a list of them taken apart in %v", n, took, time.Since(began))
	if len(jobs) != 0 || !events {
		t.Errorf("%d jobs where nothing is due", len(jobs))
	}
	jobs, _ = k.plan(s.bus.Now().Add(graph.MaxEventLife/2), wanted)
	if len(jobs) != n {
		t.Errorf("%d of %d are renewed at half life", len(jobs), n)
	}
}

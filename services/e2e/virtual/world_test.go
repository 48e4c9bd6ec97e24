package virtual

import (
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/graph-writer/graphwriter"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
)

// tenants and the modes of their people.
var tenants = []struct {
	id   identity.Tenant
	mode presence.Mode
}{{"contoso", presence.Both}, {"fabrikam", presence.TeamsToPBX}, {"adatum", presence.Calendar}, {"tailspin", presence.PBXToTeams}}

// whole and dndOnly are what the two phone systems can do.
var (
	allPowers = presence.Powers{Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch, presence.BusinessTrip)}
	dndOnly   = presence.Powers{Write: presence.SetOf(presence.Available, presence.DND), Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch)}
)

// inhabitant is somebody with a life.
type inhabitant struct {
	who   identity.Person
	life  presencetest.Life
	lines []phone
	calls [2]int // each line is in
	seen  presencetest.Seen

	told time.Time       // when their Teams last showed something else while nobody was told; zero: something else happened since
	took []time.Duration // from then to the write to a phone
}

type phone struct {
	at  *exchange
	ext identity.Extension
}

// options of a world.
type options struct {
	seed      uint64
	people    int
	events    int
	sweep     time.Duration // 0: 10 s
	lost      int           // notifications of a hundred
	crashes   bool
	throttled identity.Tenant                                    // of which Graph answers nothing but 429
	storm     *storm                                             // in which Graph refuses everything, or nil
	mute      *storm                                             // in which no notification arrives, or nil
	pass      time.Duration                                      // of the minute passes; 0: a minute
	fades     time.Duration                                      // how long sessions live at most, whatever they are granted; 0: as long as that
	still     bool                                               // nothing happens in anybody's life
	shows     func(i int) string                                 // what somebody's Teams shows at the begin; nil: available
	meetings  func(i int, began time.Time) []graph.CalendarEntry // besides those of lives; nil: none
	dir       string
	log       *slog.Logger
}

// world is a broker, all services, and everybody who lives with them. It lives in a
// bubble of virtual time.
type world struct {
	options
	t         *testing.T
	broker    *embedded.Server
	bus       *bus.Bus
	teams     *teams
	exchanges []*exchange
	people    []*inhabitant
	began     time.Time
	services  []*service
	doors     map[identity.Tenant]*door

	mu    sync.Mutex // guards dice and what has been seen
	dice  *rand.Rand
	crash int
}

// service is one that can be killed and started again.
type service struct {
	name     topology.Service
	instance string
	run      func(context.Context, run.Deps) error
	stop     func()
}

// settling is how long everything has to come up before people begin to live.
const settling = time.Minute

func newWorld(t *testing.T, o options) *world {
	w := &world{options: o, t: t, teams: newTeams(o.seed), dice: rand.New(rand.NewPCG(o.seed, 0)), doors: map[identity.Tenant]*door{},
		began: time.Now().Truncate(presencetest.Tick).Add(settling)}
	var err error
	w.broker, err = embedded.Start(embedded.Options{Dir: o.dir, NoSync: true})
	must(t, err)
	w.bus = w.connect("webhook-receiver", "test")
	must(t, w.bus.Apply(t.Context(), bus.Layout{}))
	w.exchanges = []*exchange{newExchange("hq", allPowers, o.people, o.seed), newExchange("branch", dndOnly, o.people, o.seed+1)}
	w.teams.notify, w.teams.fades = w.notify, o.fades
	linked, err := store.Open(t.Context(), w.bus.JetStream(), topology.Links)
	must(t, err)
	for i := range o.people {
		w.settle(i, linked)
	}
	for i, e := range w.exchanges {
		e.wrote = w.wroteOn(i)
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle makes somebody: their tenant, lines, life and link.
func (w *world) settle(i int, linked *store.Bucket) {
	tenant := tenants[[]int{0, 1, 0, 2, 0, 1, 0, 3}[i%8]]
	p := &inhabitant{who: identity.Person{Tenant: tenant.id, User: identity.User(fmt.Sprintf("%08x-0000-0000-0000-%012d", w.dice.Uint32(), i))}}
	switch {
	case i%5 == 0:
		p.lines = []phone{{w.exchanges[0], extension(i)}, {w.exchanges[1], extension(i)}}
	case i%5 == 1:
		p.lines = []phone{{w.exchanges[1], extension(i)}}
	default:
		p.lines = []phone{{w.exchanges[0], extension(i)}}
	}
	var lines []presencetest.Line
	var record links.Record
	for _, l := range p.lines {
		powers := l.at.powers
		lines = append(lines, presencetest.Line{FirstStatus: "available", Rings: words(powers.Ring), Writes: words(powers.Write)})
		record.Lines = append(record.Lines, links.Line{Line: identity.Line{System: l.at.id, Extension: l.ext}, Revision: 1, Powers: powers, How: "mail"})
	}
	p.life = presencetest.RandomLife(w.dice, w.events, string(tenant.mode), lines...)
	if w.still {
		p.life = still(p.life)
	} else if w.storm != nil {
		p.life = w.storm.over(p.life)
	}
	p.life.Rules.MaxAt = p.life.Ticks + 1 // the nights of a bubble are of the year 2000, and far away
	p.seen = presencetest.NewSeen(p.life)
	data, err := json.Marshal(record)
	must(w.t, err)
	_, err = linked.Put(w.t.Context(), wire.PersonKey(p.who), data)
	must(w.t, err)
	s := &seat{shown: "Available/Available"}
	if w.shows != nil {
		s.shown = w.shows(i)
	}
	s.Client = s.shown
	s.wrote = func(target string) { w.wrote(p, target) }
	w.teams.seats[p.who.User] = s
	w.invite(p)
	if w.meetings != nil {
		s.meetings = w.meetings(i, w.began)
	}
	w.people = append(w.people, p)
}

func words(set presence.Set) (words []string) {
	for _, s := range set.Slice() {
		words = append(words, s.String())
	}
	return words
}

// connect connects as a service.
func (w *world) connect(name topology.Service, instance string) *bus.Bus {
	b, err := bus.Connect(context.WithoutCancel(w.t.Context()), bus.Options{InProcess: w.broker, Service: string(name), Instance: instance, Log: w.log})
	must(w.t, err)
	return b
}

// still is a life in which nothing happens but what a test does, under the rules that hold
// where nobody says otherwise.
func still(l presencetest.Life) presencetest.Life {
	l.Events, l.Meetings = nil, nil
	l.Rules.Policy, l.Rules.Strongest, l.Rules.WholeUser = "auto", false, false
	return l
}

// choices are the options of everybody, from the rules of their lives.
func (w *world) choices() func(identity.Person) presence.Options {
	all := map[identity.Person]presence.Options{}
	for _, p := range w.people {
		o := presence.DefaultOptions()
		o.Mode, o.Manual.Policy = presence.Mode(p.life.Rules.Mode), presence.Policy(p.life.Rules.Policy)
		if p.life.Rules.Strongest {
			o.Combine = presence.Strongest
		}
		if p.life.Rules.WholeUser {
			o.Manual.Scope = presence.OnUser
		}
		all[p.who] = o
	}
	return func(who identity.Person) presence.Options { return all[who] }
}

// start starts all services: the mapper twice, since replicas share its work.
func (w *world) start() {
	choices := w.choices()
	var polled poller.Options
	var written graphwriter.Options
	for _, t := range tenants {
		w.doors[t.id] = newDoor(w.seed, w.storm, w.began)
		polled.Tenants = append(polled.Tenants, poller.TenantConfig{ID: t.id, Directory: string(t.id), App: "app", Client: func() (poller.Client, error) {
			return client{teams: w.teams, door: w.doors[t.id], closed: t.id == w.throttled}, nil
		},
			Mode: t.mode, Presence: true, Calendar: true, Sweep: w.sweep})
		written.Tenants = append(written.Tenants, graphwriter.TenantConfig{ID: t.id, App: "app", Writes: t.mode.WritesTeams(), Client: func() (graphwriter.Client, error) { return writing{w.teams, w.doors[t.id]}, nil }})
	}
	written.MinutePass = w.pass
	phones := writer.Options{MinutePass: w.pass}
	for _, e := range w.exchanges {
		conf := writer.SystemConfig{ID: e.id, Open: e.open, Pace: pbx.Pace{InFlight: 8}}
		for _, t := range tenants {
			conf.Tenants = append(conf.Tenants, t.id)
		}
		phones.Systems = append(phones.Systems, conf)
	}
	decide := func(ctx context.Context, d run.Deps) error {
		return mapper.Run(ctx, d, mapper.Options{Presence: choices, MinutePass: w.pass})
	}
	w.services = []*service{
		{name: topology.GraphPoller, run: func(ctx context.Context, d run.Deps) error { return poller.Run(ctx, d, polled) }},
		{name: topology.PresenceMapper, instance: "a", run: decide},
		{name: topology.PresenceMapper, instance: "b", run: decide},
		{name: topology.PBXWriter, run: func(ctx context.Context, d run.Deps) error { return writer.Run(ctx, d, phones) }},
		{name: topology.GraphWriter, run: func(ctx context.Context, d run.Deps) error { return graphwriter.Run(ctx, d, written) }},
	}
	for _, s := range w.services {
		w.begin(s)
	}
}

func (w *world) begin(s *service) {
	b := w.connect(s.name, s.instance)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	deps := run.Deps{Instance: s.instance, Bus: b, Hot: hot.InProcess(), Log: w.log, Health: run.NewHealth(),
		Tracer: tracer.NewTracerProvider().Tracer(""), Meter: meter.NewMeterProvider().Meter("")}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, deps) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("%s: %v", s.name, err)
		}
		b.Close()
	}
}

// end stops everything that runs in the bubble.
func (w *world) end() {
	for _, s := range w.services {
		s.stop()
	}
	w.bus.Close()
	w.broker.Close()
}

// notify is Graph, and the receiver behind its door: a notification may be lost,
// doubled, late, and so out of order.
func (w *world) notify(user identity.User, shows string) {
	w.mu.Lock()
	copies, late := 1+w.dice.IntN(5)/4, w.dice.IntN(10) == 0
	if w.dice.IntN(100) < w.lost || w.storm.at(w.began) || w.mute.at(w.began) {
		copies = 0
	}
	var waits []time.Duration
	for range copies {
		most := 2 * time.Second
		if late {
			most = 8 * time.Second
		}
		waits = append(waits, 20*time.Millisecond+time.Duration(w.dice.Int64N(int64(most))))
	}
	w.mu.Unlock()
	for _, wait := range waits {
		time.AfterFunc(wait, func() { w.receive(user, shows) })
	}
}

// receive publishes what a notification says over an older fact, as webhook-receiver
// does.
func (w *world) receive(user identity.User, shows string) {
	p := w.whose(user)
	fact := wire.Presence{Person: p.who, Reading: presence.TeamsReading{Source: presence.Notification, SeenAt: w.bus.Now()}}
	fact.Reading.Availability, fact.Reading.Activity, _ = strings.Cut(shows, "/")
	for {
		last, err := w.bus.Last(w.t.Context(), topology.Facts, wire.PresenceSubject(p.who))
		if err != nil && fault.KindOf(err) != fault.NotFound {
			w.t.Errorf("receive: %v", err)
			return
		}
		if err == nil {
			if known, err := wire.DecodePresence(last.Data); err == nil && !fact.Reading.SeenAt.After(known.Reading.SeenAt) {
				if known.Reading.Source == presence.Poll {
					subject, data := wire.Hint{Kind: subscription.HintPresence, Tenant: p.who.Tenant, ID: string(user), SeenAt: w.bus.Now()}.Encode()
					if _, err := w.bus.Publish(w.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
						w.t.Errorf("hint: %v", err)
					}
				}
				return
			}
		}
		subject, data := fact.Encode()
		if _, err = w.bus.PublishOver(w.t.Context(), bus.Message{Subject: subject, Data: data}, last.Sequence); err == nil {
			break
		}
	}
	if now := w.teams.at(user, func(*seat) {}); now != shows {
		w.mu.Lock()
		p.seen.Stale = append(p.seen.Stale, w.tick())
		w.mu.Unlock()
	}
}

func (w *world) whose(user identity.User) *inhabitant {
	var n int
	if _, err := fmt.Sscanf(string(user[len(user)-12:]), "%d", &n); err != nil {
		w.t.Errorf("%s is nobody's id", user)
	}
	return w.people[n]
}

// tick is the tick of everybody's life.
func (w *world) tick() int { return int(time.Since(w.began) / presencetest.Tick) }

func (w *world) wrote(p *inhabitant, target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	boundary := func(e presencetest.Event) bool { return e.Kind == presencetest.Boundary && e.At == w.tick() }
	if !p.told.IsZero() && strings.HasPrefix(target, "line") && !slices.ContainsFunc(p.life.Events, boundary) {
		p.took, p.told = append(p.took, time.Since(p.told)), time.Time{}
	}
	if time.Now().After(w.began) {
		p.seen.Writes = append(p.seen.Writes, presencetest.Write{At: w.tick(), Target: target})
	}
}

// wroteOn notes a write on a phone system, by the person whose extension it is.
func (w *world) wroteOn(system int) func(identity.Extension) {
	return func(ext identity.Extension) {
		var n int
		_, _ = fmt.Sscan(string(ext), &n)
		p := w.people[n-10_000]
		for i, l := range p.lines {
			if l.at == w.exchanges[system] {
				w.wrote(p, fmt.Sprint("line ", i))
			}
		}
	}
}

// due is something that somebody does.
type due struct {
	at time.Time
	n  int
	do func()
}

type agenda []due

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(due)) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// live lets everybody live to the end.
func (w *world) live() {
	var all agenda
	last := 0
	for _, p := range w.people {
		last = max(last, p.life.Ticks)
		for n, e := range p.life.Events {
			at := w.began.Add(time.Duration(e.At)*presencetest.Tick + time.Duration(w.dice.IntN(1_000))*time.Millisecond)
			all = append(all, due{at, len(all), func() { w.happens(p, n, e) }})
		}
	}
	for t := range last {
		all = append(all, due{w.began.Add(time.Duration(t+1)*presencetest.Tick - time.Millisecond), len(all), func() { w.look(t) }})
	}
	if w.crashes {
		for at := 30 * time.Second; at < time.Duration(last)*presencetest.Tick; at += 20*time.Second + time.Duration(w.dice.Int64N(int64(40*time.Second))) {
			s := w.services[w.dice.IntN(len(w.services))]
			away := time.Duration(w.dice.Int64N(int64(3 * time.Second)))
			all = append(all, due{w.began.Add(at), len(all), func() { s.stop() }}, due{w.began.Add(at + away), len(all) + 1, func() { w.begin(s) }})
			w.crash++
		}
	}
	heap.Init(&all)
	for len(all) > 0 {
		next := heap.Pop(&all).(due)
		time.Sleep(time.Until(next.at))
		next.do()
	}
}

// invite puts the meetings of a life into the person's calendar.
func (w *world) invite(p *inhabitant) {
	s := w.teams.seats[p.who.User]
	for _, m := range p.life.Meetings {
		s.meetings = append(s.meetings, graph.CalendarEntry{ShowAs: m.Class,
			Start: w.began.Add(time.Duration(m.From) * presencetest.Tick), End: w.began.Add(time.Duration(m.To) * presencetest.Tick)})
	}
}

// happens lets somebody do something.
func (w *world) happens(p *inhabitant, n int, e presencetest.Event) {
	w.mu.Lock()
	if p.told = (time.Time{}); e.Kind == presencetest.Shows && w.mute.at(w.began) {
		p.told = time.Now()
	}
	w.mu.Unlock()
	switch e.Kind {
	case presencetest.Shows:
		w.teams.at(p.who.User, func(s *seat) { s.Do(e) })
	case presencetest.Prefers:
		w.teams.at(p.who.User, func(s *seat) { s.Do(e); s.pinned = time.Time{} })
	case presencetest.Chooses:
		l := p.lines[e.Line]
		status, _ := presence.ParseStatus(e.Says)
		if l.at.system.Shown(l.ext) == status {
			p.seen.Skipped[n] = true
			return
		}
		l.at.system.Choose(l.ext, status)
	case presencetest.Talks:
		l := p.lines[e.Line]
		for ; p.calls[e.Line] > e.Calls; p.calls[e.Line]-- {
			l.at.system.EndCall(l.ext)
		}
		for ; p.calls[e.Line] < e.Calls; p.calls[e.Line]++ {
			l.at.system.StartCall(l.ext)
		}
	}
}

// look notes what everybody's phones and Teams show.
func (w *world) look(t int) {
	for _, p := range w.people {
		if t >= p.life.Ticks {
			continue
		}
		for i, l := range p.lines {
			p.seen.Lines[i][t] = l.at.system.Shown(l.ext).String()
		}
		p.seen.Teams[t] = w.teams.at(p.who.User, func(*seat) {})
	}
}

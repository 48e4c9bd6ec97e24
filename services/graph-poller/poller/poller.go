package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Client is what the poller needs of Graph for one tenant.
type Client interface {
	graph.PresenceReader
	graph.UserReader
	graph.GroupReader
	graph.CalendarReader
	graph.MailboxReader
	graph.ContactReader
	graph.PhotoReader
	graph.Subscriber // as the application itself: for users' events, and users
}

// Options of the service.
type Options struct {
	Tenants []TenantConfig
	// VaultFile has the key under which refresh tokens are sealed; made if it is not
	// there. Replicas share it.
	VaultFile string
}

// TenantConfig is one Microsoft 365 tenant.
type TenantConfig struct {
	ID        identity.Tenant
	Directory string // directory id
	App       string // application id
	// Client makes the client; called once, at the start.
	Client func() (Client, error)
	// Mode is what the configuration says; the bucket `options` comes over it, user by
	// user. It decides whether presence and calendar of somebody are read.
	Mode presence.Mode
	// Presence is false where the cloud has no Teams presence to read.
	Presence bool
	// Sweep and Users are how often presences and the directory, with the groups that
	// something names, are read; 0: 10 s, 15 min.
	Sweep, Users time.Duration
	// Guests includes guests; they are left out by default.
	Guests bool
	// Groups are those whose members get extensions, if there are any.
	Groups []identity.Group
	// Shared names mailboxes whose contacts are everybody's, by object id or user
	// principal name.
	Shared []string
	// Graph is the URL of the tenant's Graph host.
	Graph string
	// Personal has the contacts of every linked user read, Folders names folders that are
	// read beside the default one, each with all that is below it.
	Personal bool
	Folders  []string
	// Contacts is how often the contacts of every mailbox are read; 0: 60 min.
	Contacts time.Duration
	// ContactChanges is false where the cloud tells of no changes of contacts.
	ContactChanges bool
	// Photos has the photos of linked users read, PhotosEvery is how often it is asked
	// whether they are others; 0: 24 h.
	Photos      bool
	PhotosEvery time.Duration
	// Purposes is how often the mailbox of an account that nobody signs in to is asked
	// what it is for; 0: 24 h.
	Purposes time.Duration
	// Calendar is false where the cloud has no calendars to read.
	Calendar bool
	// Calendars is how often every calendar is read; 0: 15 min.
	Calendars time.Duration
	// Rules say what events count as.
	Rules calendar.Rules
	// Again is how long after a hint a calendar or the directory is read a second time,
	// and a group that seems to be gone; 0: 30 s.
	Again time.Duration
	// Zones is how often the time zone of a mailbox is read; 0: 24 h.
	Zones time.Duration
	// Subscribe has Graph tell of changes of calendars, where there is a PublicURL, and
	// SubscribeUsers of changes of the directory.
	Subscribe, SubscribeUsers bool
	Events                    KeepEvents
	// Accounts are the delegated accounts of the configuration that hold presence
	// subscriptions; others sign in by device code.
	Accounts []Account
	// SignIn begins a sign-in by device code; nil: nobody can.
	SignIn func(context.Context) (*msgraph.DeviceSignIn, error)
	// Delegated makes a client that acts as the account whose refresh token is in a store.
	// One with a method Close is closed when it is not used any more.
	Delegated func(graph.RefreshStore) (graph.Subscriber, error)
	// Priority names users, by object id or user principal name, and groups, by object
	// id, display name or mail address, who get a place in the subscriptions of accounts
	// before others.
	Priority []string
	// PublicURL is where Graph reaches webhook-receiver; "": no subscriptions.
	PublicURL string
	Keep      Keep
}

// Keep says how presence subscriptions are kept. Zero fields have the value named.
type Keep struct {
	Look        time.Duration // how often one is compared with what it should be; 15 s, and 1 s while there is none
	Verify      time.Duration // how often Graph is asked whether it still has it; 1 min
	RenewBefore time.Duration // the remaining life at which it is renewed; half of Graph's most
	Retry       time.Duration // the first pause after something failed, doubling to 2 min; 1 s
	// Hearing says when a lane is silent: Graph names a minute as the most that a
	// notification takes. Zero: hearing.
	Hearing coverage.Hearing
	Day     time.Duration // over how long it is counted how often people change; 24 h
}

// hearing is when a lane counts as silent.
// https://learn.microsoft.com/graph/change-notifications-overview#latency
var hearing = coverage.Hearing{Late: 90 * time.Second, Settle: 30 * time.Second, Few: 3, Again: 10 * time.Minute, AgainMost: time.Hour}

// KeepEvents says how subscriptions to events are kept. Zero fields have the value
// named.
type KeepEvents struct {
	Look        time.Duration // how often all are compared with what they should be; 1 min
	List        time.Duration // how often Graph is asked for all it has, at most; 1 min
	RenewBefore time.Duration // the remaining life at which one is renewed; half of Graph's most
	Gap         time.Duration // between two renewals that Graph asks for; graph.ReauthorizeGap
	Retry       time.Duration // the first pause after something failed; 1 s
}

// Account is one delegated account.
type Account struct {
	Name string
	// Store has its refresh token, as long as it has not signed in by device code.
	Store graph.RefreshStore
	// Client makes a client that acts as this account; nil: TenantConfig.Delegated with
	// its refresh token. Called for each term of its lease.
	Client func() (graph.Subscriber, error)
}

// Poller is the service.
type Poller struct {
	deps  run.Deps
	bus   *bus.Bus
	links *links.Mirror
	// options has the mode of everybody, and who is in which group: this service's own
	// facts, read back because the lease that reads groups may be another instance's.
	options *options.Mirror
	// relinked tells the sweeps that links, options or groups changed.
	relinked *signal
	log      *slog.Logger
	metrics  *metrics
	groups   *groupMetrics
	people   *peopleMetrics

	cursors, subscriptions, certificates, lanes, accounts, books *store.Bucket
	planned                                                      subscription.Lanes
	vaultFile                                                    string
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	p := &Poller{deps: deps, bus: deps.Bus, links: links.NewMirror(), options: options.NewMirror(opts.configured, deps.Log), relinked: newSignal(), log: deps.Log, vaultFile: opts.VaultFile}
	var err error
	if p.metrics, err = newMetrics(deps.Meter); err != nil {
		return err
	}
	if p.groups, err = newGroupMetrics(deps.Meter); err != nil {
		return err
	}
	if p.people, err = newPeopleMetrics(deps.Meter); err != nil {
		return err
	}
	buckets := map[topology.Bucket]**store.Bucket{topology.Cursors: &p.cursors, topology.Subscriptions: &p.subscriptions, topology.Certificates: &p.certificates, topology.Lanes: &p.lanes, topology.Accounts: &p.accounts, topology.Books: &p.books}
	for name, into := range buckets {
		if *into, err = store.Open(ctx, deps.Bus.JetStream(), name); err != nil {
			return err
		}
	}
	linked, err := store.Open(ctx, deps.Bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	optioned, err := store.Open(ctx, deps.Bus.JetStream(), topology.Options)
	if err != nil {
		return err
	}
	leases, err := store.Open(ctx, deps.Bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.GraphPoller) + "/" + deps.Instance, Log: deps.Log}

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return run.Ended(gctx, p.links.Run(gctx, linked, func(identity.Person, []identity.Line) { p.relinked.give() }))
	})
	g.Go(func() error { return run.Ended(gctx, p.planned.Run(gctx, p.lanes)) })
	g.Go(func() error {
		return run.Ended(gctx, p.options.Run(gctx, optioned, func(options.Key) { p.relinked.give() }))
	})
	g.Go(func() error {
		return run.Ended(gctx, p.options.RunMembers(gctx, p.bus, func(options.Key, []identity.Person) { p.relinked.give() }))
	})
	g.Go(func() error {
		if err := errors.Join(p.links.Current(gctx), p.options.Current(gctx), p.options.CurrentMembers(gctx)); err != nil {
			return run.Ended(gctx, err)
		}
		for _, conf := range opts.Tenants {
			if err := p.start(gctx, g, holder, conf.withDefaults()); err != nil {
				return fmt.Errorf("tenant %s: %w", conf.ID, err)
			}
		}
		return nil
	})
	return run.Ended(ctx, g.Wait())
}

// configured is what the configuration says of a person's options, as far as it
// matters here.
func (o Options) configured(who identity.Person) presence.Options {
	for _, t := range o.Tenants {
		if t.ID == who.Tenant {
			return presence.Options{Mode: t.Mode}
		}
	}
	return presence.Options{} // not configured any more: no record counts
}

// start begins one tenant's work, each share of it under its lease.
func (p *Poller) start(ctx context.Context, g *errgroup.Group, holder store.Leases, conf TenantConfig) error {
	t := &tenant{p: p, conf: conf, log: p.log.With("tenant", string(conf.ID)), usersTold: make(chan struct{}, 1)}
	t.names = newNames(t)
	var err error
	if t.client, err = conf.Client(); err != nil {
		return err
	}
	hold := func(kind string, work func(context.Context) error) {
		g.Go(func() error {
			return holder.Hold(ctx, topology.Join("graph", string(conf.ID), kind), func(ctx context.Context, _ store.Lease) error { return run.Ended(ctx, work(ctx)) })
		})
	}
	hold("people", t.people)
	hold("groups", t.groupsLoop)
	hold("events", t.keepEvents)
	for _, shard := range shards(len(p.links.People(conf.ID))) {
		if conf.Calendar {
			hold("calendar-"+shard, func(ctx context.Context) error { return t.calendarLoop(ctx, shard) })
		}
		if conf.Presence {
			hold("presence-"+shard, func(ctx context.Context) error { return t.presenceLoop(ctx, shard) })
		}
	}
	if !conf.Presence || conf.PublicURL == "" || conf.SignIn == nil && len(conf.Accounts) == 0 {
		return nil
	}
	if err := checkAccounts(conf.Accounts); err != nil {
		return err
	}
	t.roster, t.ears = newRoster(conf), newEars(t)
	g.Go(func() error { return run.Ended(ctx, t.roster.run(ctx, p.accounts)) })
	g.Go(func() error {
		if !t.roster.await(ctx) { // there is nothing to hear for
			return nil
		}
		return run.Ended(ctx, t.ears.run(ctx))
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-t.roster.current:
		}
		hold("lanes", t.planLanes)
		if conf.SignIn != nil {
			hold("accounts", t.accountOrders)
		}
		return run.Ended(ctx, t.keepers(ctx, func(ctx context.Context, account string) error {
			return holder.Hold(ctx, topology.Join("graph", string(conf.ID), "account-"+account), func(ctx context.Context, _ store.Lease) error {
				return run.Ended(ctx, t.keep(ctx, account))
			})
		}))
	})
	return nil
}

func (c TenantConfig) withDefaults() TenantConfig {
	c.Sweep = cmp.Or(c.Sweep, 10*time.Second)
	c.Users = cmp.Or(c.Users, 15*time.Minute)
	c.Calendars = cmp.Or(c.Calendars, 15*time.Minute)
	c.Again = cmp.Or(c.Again, 30*time.Second)
	c.Zones = cmp.Or(c.Zones, 24*time.Hour)
	c.Contacts = cmp.Or(c.Contacts, time.Hour)
	c.PhotosEvery = cmp.Or(c.PhotosEvery, 24*time.Hour)
	c.Purposes = cmp.Or(c.Purposes, 24*time.Hour)
	c.Events.Look = cmp.Or(c.Events.Look, time.Minute)
	c.Events.List = cmp.Or(c.Events.List, time.Minute)
	c.Events.RenewBefore = cmp.Or(c.Events.RenewBefore, graph.MaxEventLife/2)
	c.Events.Gap = cmp.Or(c.Events.Gap, graph.ReauthorizeGap)
	c.Events.Retry = cmp.Or(c.Events.Retry, time.Second)
	c.Keep.Look = cmp.Or(c.Keep.Look, 15*time.Second)
	c.Keep.Verify = cmp.Or(c.Keep.Verify, time.Minute)
	c.Keep.RenewBefore = cmp.Or(c.Keep.RenewBefore, graph.MaxPresenceLife/2)
	c.Keep.Retry = cmp.Or(c.Keep.Retry, time.Second)
	c.Keep.Hearing = cmp.Or(c.Keep.Hearing, hearing)
	c.Keep.Day = cmp.Or(c.Keep.Day, 24*time.Hour)
	return c
}

// shardSize is how many users one lease sweeps.
const shardSize = 10_000

// shards divides object ids, which are random, by their first hexadecimal digits.
// The division is made at the start: growing over a boundary takes effect with the
// next one, until when a shard is only larger than it should be.
func shards(users int) []string {
	names := []string{""}
	for count := users; count > shardSize; count /= 16 {
		var longer []string
		for _, name := range names {
			for _, digit := range "0123456789abcdef" {
				longer = append(longer, name+string(digit))
			}
		}
		names = longer
	}
	if len(names) == 1 {
		return []string{wire.ShardAll}
	}
	return names
}

// tenant is one tenant's work.
type tenant struct {
	p      *Poller
	conf   TenantConfig
	client Client
	log    *slog.Logger
	// usersTold has one when the directory is to be read soon.
	usersTold chan struct{}
	names     *names

	// Of tenants that can have lanes:

	roster *roster
	ears   *ears
}

// publishOver publishes a message over the one with sequence last.
func (p *Poller) publishOver(ctx context.Context, m wire.Message, last uint64) (uint64, error) {
	subject, data := m.Encode()
	return p.bus.PublishOver(ctx, bus.Message{Subject: subject, Data: data}, last)
}

func (p *Poller) publish(ctx context.Context, m wire.Message) error {
	subject, data := m.Encode()
	_, err := p.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
	return err
}

// signal wakes everybody who waits for it.
type signal struct {
	mu   sync.Mutex // guards wait
	wait chan struct{}
}

func newSignal() *signal { return &signal{wait: make(chan struct{})} }

// next is closed at the next give.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wait
}

func (s *signal) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wait)
	s.wait = make(chan struct{})
}

package virtual

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/user-sync/usersync"
)

// night is user-sync, in a bubble, with a phone system that will not have one of two users.
// What is refused is tried again when a run is due by the clock, and at no other time.
type night struct {
	t   *testing.T
	bus *bus.Bus

	mu    sync.Mutex // guards what follows
	tries []time.Time
	other []time.Time    // of the other tenant's
	made  wire.Inventory // Anna's extension
	byHer string         // what somebody calls it there; "": nothing else
	away  bool           // it does not list its extensions
}

// refused is the user whom the phone system will not have, and refusedToo the other tenant's.
const refused, refusedToo = "ben@contoso.example", "ben@fabrikam.example"

// inTheNight lets user-sync run in virtual time, from 20:00 UTC of a day in winter on.
func inTheNight(t *testing.T, users config.Users, live func(*night)) {
	rules := map[identity.Tenant]usersync.Rules{"contoso": {Users: users}}
	inTheNightOf(t, map[identity.System][]identity.Tenant{"hq": {"contoso"}}, rules, live)
}

// inTheNightOf is the same with fabrikam beside it, and whom each phone system serves.
func inTheNightOf(t *testing.T, serves map[identity.System][]identity.Tenant, rules map[identity.Tenant]usersync.Rules, live func(*night)) {
	dir := t.TempDir()
	runtime.GC() // pools may hold timers of the last bubble
	runtime.GC()
	// In a bubble that begins later than the process nothing gets too old.
	start := time.Date(time.Now().Year()+1, time.February, 10, 20, 0, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start))
		broker, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true})
		must(t, err)
		log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
		b, err := bus.Connect(context.WithoutCancel(t.Context()), bus.Options{InProcess: broker, Service: string(topology.UserSync), Instance: "test", Log: log})
		must(t, err)
		must(t, b.Apply(t.Context(), bus.Layout{}))
		n := &night{t: t, bus: b}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		deps := run.Deps{Instance: "test", Bus: b, Meter: meter.Meter{}, Log: log, Health: run.NewHealth()}
		opts := usersync.Options{Serves: serves, Rules: rules}
		ended := make(chan error, 3)
		go func() { ended <- usersync.Run(ctx, deps, opts) }()
		go func() {
			ended <- run.Ended(ctx, b.Follow(ctx, topology.Wants, []string{topology.Wildcard("pbx.want.inventory.<system>")}, n.list, func() {}))
		}()
		go func() {
			ended <- b.Consume(ctx, bus.Consumer{Stream: topology.Changes, Durable: "phones", NewestOnly: true,
				Filters: []string{topology.Wildcard("pbx.want.extension.<system>.<ext>")}}, n.carryOut)
		}()
		must(t, n.list(bus.Message{}))
		if len(serves) > 1 { // the other one lists once, and never again
			n.publish(wire.System{System: "branch", ListedAt: b.Now(), Fields: fields})
		}
		n.named(1, "anna@contoso.example", "Anna")
		n.named(2, refused, "Ben")
		if len(rules) > 1 {
			n.publish(userOf("fabrikam", 3, refusedToo, "Ben"))
		}
		time.Sleep(time.Minute)
		n.tried(1, "at the start")
		live(n)
		stop()
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		b.Close()
		broker.Close()
	})
}

// carryOut does what is wanted as pbx-writer would.
func (n *night) carryOut(_ context.Context, m bus.Message) error {
	w, err := wire.DecodeExtensionWant(m.Data)
	if err != nil {
		return err
	}
	result := wire.ChangeDone
	n.mu.Lock()
	defer n.mu.Unlock()
	switch w.Update.To.Mail {
	case refused:
		result, n.tries = wire.ChangeRefused, append(n.tries, time.Now())
	case refusedToo:
		result, n.other = wire.ChangeRefused, append(n.other, time.Now())
	default:
		e := w.Update.To
		n.made, n.byHer = wire.Inventory{Line: w.Line, Fields: e.Fields, Marker: e.Marker, Enabled: e.Enabled, SeenAt: n.bus.Now()}, ""
		n.publish(n.made)
	}
	n.publish(wire.ExtensionOutcome{ID: w.ID, Person: w.Person, Line: w.Line, Op: w.Op, Result: result, Plan: w.Plan, At: n.bus.Now()})
	return nil
}

// list tells of all extensions.
func (n *night) list(bus.Message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil
	}
	began := n.bus.Now()
	if n.byHer != "" {
		shown := n.made
		shown.FirstName, shown.SeenAt = n.byHer, began
		n.publish(shown)
	}
	n.publish(wire.System{System: "hq", ListedAt: began, Fields: fields})
	return nil
}

// fields are those that the phone systems take.
var fields = []directory.Field{directory.FirstName, directory.LastName, directory.Mail, directory.Enabled}

func (n *night) publish(m wire.Message) {
	subject, data := m.Encode()
	if _, err := n.bus.Publish(context.WithoutCancel(n.t.Context()), bus.Message{Subject: subject, Data: data}); err != nil {
		n.t.Error(err)
	}
}

func (n *night) named(i int, mail, first string) {
	n.publish(userOf("contoso", i, mail, first))
}

func userOf(tenant identity.Tenant, i int, mail, first string) wire.User {
	return wire.User{Person: identity.Person{Tenant: tenant, User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))},
		UPN: mail, Mail: mail, GivenName: first, Surname: "Moreau", DisplayName: first, Enabled: true, Type: "Member"}
}

// tried says how often the phone system has been asked by now.
func (n *night) tried(times int, when string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.tries) != times {
		n.t.Errorf("%s it was tried %d times, want %d: %v", when, len(n.tries), times, n.tries)
	}
}

func byTheClock(at, zone string) config.Users {
	return config.Users{At: at, Zone: zone, Include: []string{"all"}, StartExtension: "200", Hold: 24 * time.Hour, Policy: "sync", Brake: config.Brake{Count: 3, Percent: 5}}
}

// At two o'clock by the clocks of the tenant's zone, which in winter is one hour after UTC
// has midnight; not at midnight, and not at two by UTC.
func TestTheNightlyRunIsAtItsTimeInTheZoneOfTheTenant(t *testing.T) {
	inTheNight(t, byTheClock("0 2 * * *", "Europe/Berlin"), func(n *night) {
		at := time.Now().Truncate(time.Hour).Add(5 * time.Hour) // 01:00 UTC
		time.Sleep(time.Until(at.Add(-time.Second)))
		n.tried(1, "a second before")
		time.Sleep(2 * time.Second)
		n.tried(2, "a second after")
		if is := n.tries[len(n.tries)-1]; is.Before(at) || is.After(at.Add(time.Second)) {
			t.Errorf("it ran at %s, want %s", is, at)
		}
		time.Sleep(2 * time.Hour)
		n.tried(2, "in the rest of the night")
	})
}

// Two tenants on one phone system have clocks of their own, and an order of one does not
// try again what failed for the other.
func TestTheNightlyRunOfATenantIsNobodyElses(t *testing.T) {
	rules := map[identity.Tenant]usersync.Rules{"contoso": {Users: byTheClock("0 22 * * *", "UTC")}, "fabrikam": {Users: byTheClock("0 23 * * *", "UTC")}}
	inTheNightOf(t, map[identity.System][]identity.Tenant{"hq": {"contoso", "fabrikam"}}, rules, func(n *night) {
		tried := func(contoso, fabrikam int, when string) {
			t.Helper()
			n.mu.Lock()
			defer n.mu.Unlock()
			if len(n.tries) != contoso || len(n.other) != fabrikam {
				t.Errorf("%s it was tried for contoso %v, for fabrikam %v; want %d and %d", when, n.tries, n.other, contoso, fabrikam)
			}
		}
		tried(1, 1, "at the start")
		ten := time.Now().Truncate(time.Hour).Add(2 * time.Hour)
		time.Sleep(time.Until(ten.Add(time.Minute)))
		tried(2, 1, "after contoso's run")
		time.Sleep(time.Hour)
		tried(2, 2, "after fabrikam's run")
		n.publish(wire.SyncOrder{ID: "now", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncNow})
		time.Sleep(time.Minute)
		n.named(1, "anna@contoso.example", "Annabel") // all is planned anew
		time.Sleep(time.Minute)
		tried(3, 2, "after an order of contoso's")
	})
}

// A change is being planned, and what failed looked at, at the very moment at which a run
// is due: it takes place all the same, twelve times out of twelve.
func TestARunByTheClockIsNotLostBecauseSomethingElseIsDoneThen(t *testing.T) {
	const settle = 200 * time.Millisecond // of usersync.Options
	inTheNight(t, byTheClock("*/5 * * * *", "UTC"), func(n *night) {
		for i := range 12 {
			at := time.Now().Truncate(5 * time.Minute).Add(5 * time.Minute)
			time.Sleep(time.Until(at.Add(-settle)))
			n.named(1, "anna@contoso.example", fmt.Sprint("Anna ", i))
			time.Sleep(time.Until(at.Add(time.Minute)))
			n.tried(2+i, at.Format(time.TimeOnly))
		}
	})
}

// Somebody renames an extension at the phone system in the evening. The run of the night
// has its extensions listed and gives it the name that Microsoft says.
func TestARunByTheClockKnowsWhatSomebodyChangedAtThePhoneSystem(t *testing.T) {
	inTheNight(t, byTheClock("0 22 * * *", "UTC"), func(n *night) {
		byHer := func(name string) (before string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			before, n.byHer = n.byHer, name
			return before
		}
		byHer("Hanna")
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(2 * time.Hour)))
		if byHer("Hanna") != "Hanna" {
			t.Fatal("given back before the run: nothing is shown by what follows")
		}
		time.Sleep(time.Minute)
		if name := byHer(""); name != "" {
			t.Errorf("after the run it is still called %s", name)
		}
	})
}

// While the phone system does not answer, the run of the night begins two minutes late and
// goes by what was listed before.
func TestARunByTheClockDoesNotWaitForAPhoneSystemForGood(t *testing.T) {
	inTheNight(t, byTheClock("0 22 * * *", "UTC"), func(n *night) {
		n.mu.Lock()
		n.away = true
		n.mu.Unlock()
		at := time.Now().Truncate(time.Hour).Add(2 * time.Hour)
		time.Sleep(time.Until(at.Add(119 * time.Second)))
		n.tried(1, "while the listing is waited for")
		time.Sleep(2 * time.Second)
		n.tried(2, "when it was waited for long enough")
	})
}

// Two tenants are due at the same moment. The phone system of the one does not answer: the
// other's run is in time.
func TestARunByTheClockDoesNotWaitForAnotherTenantsPhoneSystem(t *testing.T) {
	serves := map[identity.System][]identity.Tenant{"hq": {"contoso"}, "branch": {"fabrikam"}}
	rules := map[identity.Tenant]usersync.Rules{"contoso": {Users: byTheClock("0 22 * * *", "UTC")}, "fabrikam": {Users: byTheClock("0 22 * * *", "UTC")}}
	inTheNightOf(t, serves, rules, func(n *night) {
		theirs := func() int {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.other)
		}
		at := time.Now().Truncate(time.Hour).Add(2 * time.Hour)
		time.Sleep(time.Until(at.Add(time.Second)))
		n.tried(2, "a second after")
		if theirs() != 1 {
			t.Errorf("fabrikam's was tried %d times, want 1", theirs())
		}
		time.Sleep(2 * time.Minute)
		n.tried(2, "when the other is waited for no more")
		if theirs() != 2 {
			t.Errorf("fabrikam's was tried %d times in the end, want 2", theirs())
		}
	})
}

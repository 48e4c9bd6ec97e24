package poller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// readOrder asks for something to be read, as the control API does.
func (s *stage) readOrder(id string, change func(*wire.SyncOrder)) {
	s.t.Helper()
	o := wire.SyncOrder{ID: id, Tenant: contoso, Kind: wire.SyncUsers, Op: wire.SyncRead, AskedAt: s.bus.Now(), Expires: s.bus.Now().Add(never)}
	if change != nil {
		change(&o)
	}
	subject, data := o.Encode()
	_, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data})
	must(s.t, err)
}

// told are all that was told of an order, in order.
func (s *stage) told(id string) (all []wire.SyncOutcome) {
	s.t.Helper()
	must(s.t, s.bus.History(s.t.Context(), topology.Outcomes, wire.SyncOutcomeSubject(contoso, id), func(m bus.Message) error {
		o, err := wire.DecodeSyncOutcome(m.Data)
		all = append(all, o)
		return err
	}))
	return all
}

// ends waits for the end of an order.
func (s *stage) ends(id string) (last wire.SyncOutcome) {
	s.t.Helper()
	s.eventually("order "+id+" does not end", func() bool {
		all := s.told(id)
		if len(all) == 0 {
			return false
		}
		last = all[len(all)-1]
		return last.State.Ended(wire.SyncRead)
	})
	return last
}

func contactsOrder(o *wire.SyncOrder) { o.Kind = wire.SyncContacts }

func TestAnOrderHasUsersReadNow(t *testing.T) {
	s := newStage(t, 12, func(c *graphsim.Config) { c.Tenants[0].Switches.PageSize = 5 })
	user := s.users()[0]
	conf, client := s.usersConfig(never)
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	must(t, s.tenant().EditUser(string(user), func(u *graphsim.User) { u.Department = "Moved" }))
	s.readOrder("one", nil)
	if o := s.ends("one"); o.State != wire.SyncDone || o.Total != 1 || o.Done != 1 || o.Failed != 0 || o.Kind != wire.SyncUsers || o.Op != wire.SyncRead || o.At.IsZero() {
		t.Errorf("%+v", o)
	}
	if s.directory()[user].fact.Department != "Moved" {
		t.Error("the change is not stored by then")
	}
	if all := s.told("one"); all[0].State != wire.SyncReading {
		t.Errorf("%+v", all[0])
	}
	s.readOrder("all", func(o *wire.SyncOrder) { o.Force = true })
	if o := s.ends("all"); o.State != wire.SyncDone || o.Done != 12 {
		t.Errorf("%+v", o)
	}
	if pages := client.read(); pages[len(pages)-3] != "" {
		t.Errorf("not everything was read: %q", pages)
	}
}

func TestAnOrderHasContactsReadNow(t *testing.T) {
	s := newStage(t, 5, nil)
	users := s.users()
	for _, user := range users {
		s.fill(user, 3)
	}
	s.link(contoso, users[:4]...)
	b := s.sheets()
	s.run(s.contacts(never))
	for _, user := range users[:4] {
		b.shows(user, "Contacts")
	}
	must(t, s.tenant().DeleteContact(string(users[0]), "1"))
	must(t, s.tenant().EditMailbox(string(users[1]), func(m *graphsim.Mailbox) { m.Missing = true }))
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: 404, User: string(users[3])})
	must(t, err)
	_, err = s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, RetryAfter: "600", User: string(users[2])})
	must(t, err)
	s.readOrder("one", contactsOrder)
	if o := s.ends("one"); o.State != wire.SyncDone || o.Total != 4 || o.Done != 4 || o.Failed != 1 || o.Detail == "" {
		t.Errorf("%+v", o)
	}
	b.shows(users[0], "Contacts")
	if n := len(b.of(users[0])); n != 2 {
		t.Errorf("%d pages", n)
	}
	s.tenant().ClearFaults()
	s.readOrder("all", func(o *wire.SyncOrder) { o.Kind, o.Force = wire.SyncContacts, true })
	s.ends("all")
	if pages := b.of(users[0]); !pages[len(pages)-1].Full || len(pages) != 3 {
		t.Errorf("%d pages, the last %+v", len(pages), pages[len(pages)-1])
	}
}

func TestOrdersThatAreNotCarriedOut(t *testing.T) {
	s := newStage(t, 3, nil)
	conf, client := s.usersConfig(never)
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	pages := len(client.read())
	for id, c := range map[string]struct {
		change func(*wire.SyncOrder)
		want   wire.SyncState
	}{
		"late":    {func(o *wire.SyncOrder) { o.Expires = s.bus.Now().Add(-time.Second) }, wire.SyncExpired},
		"strange": {func(o *wire.SyncOrder) { o.Kind = "calendars" }, wire.SyncRefused},
		"nothing": {contactsOrder, wire.SyncDone}, // nobody is linked
	} {
		s.readOrder(id, c.change)
		if o := s.ends(id); o.State != c.want || c.want != wire.SyncDone && o.Detail == "" {
			t.Errorf("%s: %+v", id, o)
		}
	}
	s.readOrder("twice", nil)
	s.ends("twice")
	s.readOrder("twice", nil)
	s.readOrder("after", nil)
	s.ends("after")
	if n := len(client.read()); n != pages+2 {
		t.Errorf("%d pages were read for two orders", n-pages)
	}
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/users/delta", RetryAfter: "600"})
	must(t, err)
	s.readOrder("throttled", nil)
	if o := s.ends("throttled"); o.State != wire.SyncFailed || o.Detail == "" {
		t.Errorf("%+v", o)
	}
}

// slow is a client that takes for ever to read users.
type slow struct{ Client }

func (slow) Users(ctx context.Context, _ graph.Cursor) (graph.UserPage, error) {
	<-ctx.Done()
	return graph.UserPage{}, ctx.Err()
}

// The service ends while it reads. Who waits is told, by it or by the next one.
func TestAReadingThatTheServiceDoesNotSurviveEnds(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			s := newStage(t, 3, nil)
			conf, client := s.usersConfig(never)
			conf.Client = func() (Client, error) { return slow{client}, nil }
			stop := s.run(conf)
			s.readOrder("one", nil)
			s.eventually("it does not begin", func() bool { return len(s.told("one")) == 1 })
			stop()
			if killed { // and could not say so
				subject, data := wire.SyncOutcome{ID: "one", Tenant: contoso, Kind: wire.SyncUsers, Op: wire.SyncRead, State: wire.SyncReading}.Encode()
				_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
				must(t, err)
				conf, _ := s.usersConfig(never)
				s.run(conf)
			}
			if o := s.ends("one"); o.State != wire.SyncFailed || o.Detail == "" {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestErrandsAreRunOnceAtATimeForEachMailbox(t *testing.T) {
	e := newErrands()
	told := map[string]int{}
	ask := func(user identity.User, whole bool, who string) {
		e.add(user, whole, func(error) { told[who]++ })
	}
	ask("a", false, "first")
	ask("b", false, "other")
	ask("a", true, "second")
	user, one, ok := e.next(t.Context())
	if !ok || user != "a" || !one.whole || len(one.done) != 2 {
		t.Fatalf("%s, %+v", user, one)
	}
	ask("a", false, "third") // while it is read
	other, two, _ := e.next(t.Context())
	if other != "b" {
		t.Fatalf("%s is read twice at a time", other)
	}
	if _, none := e.take(); none != nil {
		t.Error("a mailbox is given away while it is read")
	}
	e.finished(user, one, nil)
	if user, three, _ := e.next(t.Context()); user != "a" || three.whole || len(three.done) != 1 {
		t.Errorf("%s, %+v", user, three)
	}
	e.finished(other, two, nil)
	if told["first"] != 1 || told["second"] != 1 || told["other"] != 1 || told["third"] != 0 || e.waiting() != 1 {
		t.Errorf("%v, %d wait", told, e.waiting())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, ok := e.next(ctx); ok {
		t.Error("after the end there is more")
	}
}

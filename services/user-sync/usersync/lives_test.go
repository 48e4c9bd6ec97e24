package usersync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// live runs an instance of the service until end is called, which may be done twice.
func (s *stage) live(instance string, opts Options) (end func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	deps := run.Deps{Instance: instance, Bus: s.bus, Meter: noop.Meter{}, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Health: run.NewHealth()}
	go func() { ended <- Run(ctx, deps, opts); close(ended) }()
	end = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
	s.t.Cleanup(end)
	return end
}

// PortSIP's choice of what is synchronised cannot be changed once it is made.
func TestThePolicyCanBeChosenAnewAtAnyTime(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	planned := func(total int) {
		t.Helper()
		s.eventually(wire.SyncOrder{Op: wire.SyncPlan}, func(o wire.SyncOutcome) bool { return o.State == wire.SyncPlanned && o.Total == total })
	}

	end := s.live("test", synchronising("off"))
	planned(2) // it can be seen before it is chosen
	end()
	if did := p.did(); len(did) > 0 {
		t.Errorf("off: %v", did)
	}

	end = s.live("test", synchronising("sync"))
	p.eventually("200 Anna; 201 Ben")
	end()

	end = s.live("test", synchronising("off"))
	s.publish(named(1, "Hanna"), wire.User{Person: person(2), Gone: true}, named(3, "Carl"))
	planned(3)
	end()
	if got := p.shows(); got != "200 Anna; 201 Ben" {
		t.Errorf("off again: %s", got)
	}

	end = s.live("test", synchronising("create-only"))
	p.eventually("200 Anna; 201 Ben; 202 Carl")
	planned(0)
	end()

	end = s.live("test", synchronising("upsert-only"))
	p.eventually("200 Hanna; 201 Ben; 202 Carl")
	planned(0)
	end()

	s.live("test", synchronising("sync"))
	p.eventually("200 Hanna; 201 Ben off; 202 Carl")
	planned(0)
	if did := p.did(); len(did) != 5 { // and nothing was done twice on the way
		t.Errorf("%v", did)
	}
}

func TestPairsThatEndedAreRemembered(t *testing.T) {
	s := newStage(t)
	go func() { _ = s.mirror.Run(t.Context(), s.bucket, nil) }()
	opts := Options{Serves: small().serves, Settle: time.Millisecond}
	end := s.live("test", opts)
	s.publish(user(person(1), "anna@x"), user(person(2), "ben@x"), extension("101", "anna@x"))
	s.owned("101", person(1))
	began := s.former(person(1), "")

	s.publish(wire.Inventory{Line: lineOf("101"), Gone: true}, extension("102", "anna@x"))
	s.owned("102", person(1))
	s.former(person(1), "101 mail")

	s.publish(wire.Inventory{Line: lineOf("102"), Gone: true}, extension("103", "ben@x"))
	s.owned("103", person(2))
	last := s.former(person(1), "102 mail; 101 mail")
	if len(began) != 0 || len(last) == 2 && (!last[1].Since.Before(last[1].Until) || last[0].Since.Before(last[1].Since) || last[0].Until.Before(last[1].Until)) {
		t.Errorf("%v, then %+v", began, last)
	}

	// They are remembered beyond a restart, and by a person who has nothing any more.
	end()
	s.live("test", opts)
	s.publish(wire.User{Person: person(2), Gone: true}, user(person(3), "carl@x"), extension("104", "carl@x"))
	s.owned("104", person(3))
	s.former(person(1), "102 mail; 101 mail")
	s.former(person(2), "103 mail")
}

// former waits until the pairs that a person had, the newest first, are these.
func (s *stage) former(who identity.Person, want string) (history []links.Former) {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, func() string {
		var record links.Record
		e, err := s.bucket.Get(s.t.Context(), wire.PersonKey(who))
		if err == nil {
			err = json.Unmarshal(e.Value, &record)
		}
		var words []string
		for _, f := range record.History {
			words = append(words, string(f.Extension)+" "+f.How)
		}
		history = record.History
		if got := strings.Join(words, "; "); err != nil || got != want {
			return fmt.Sprintf("formerly %q, %v; want %q", got, err, want)
		}
		return ""
	})
	return history
}

func TestOfPairsThatEndedTheLastTenAreRemembered(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	var record links.Record
	for i := range formerly + 3 {
		before := record
		before.Lines = []links.Line{{Line: lineOf(identity.Extension(fmt.Sprint(100 + i))), How: "mail", Since: now}}
		record = ended(links.Record{}, before, now)
	}
	if len(record.History) != formerly || record.History[0].Extension != "112" || record.History[formerly-1].Extension != "103" {
		t.Errorf("%+v", record.History)
	}
	stays := links.Record{Lines: []links.Line{{Line: lineOf("101")}}}
	if kept := ended(stays, stays, now); len(kept.History) != 0 {
		t.Errorf("a pair that goes on is remembered as one that ended: %+v", kept.History)
	}
}

func TestAfterTheHoldAnExtensionIsDeletedAndItsNumberFree(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	opts := synchronising("sync")
	end := s.live("test", opts) // a hold of a day
	p.eventually("200 Anna; 201 Ben")
	s.publish(wire.User{Person: person(2), Gone: true}, named(3, "Carl"))
	p.eventually("200 Anna; 201 Ben off; 202 Carl")
	s.nothingToDo()
	end()

	rules := opts.Rules["contoso"]
	rules.Hold = time.Millisecond
	opts.Rules = map[identity.Tenant]Rules{"contoso": rules}
	s.live("test", opts)
	p.eventually("200 Anna; 202 Carl")
	bustest.Eventually(t, 20*time.Second, func() string { // nothing of it is kept
		e, err := s.bucket.Get(t.Context(), wire.PersonKey(person(2)))
		var record links.Record
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return ""
		}
		if err == nil {
			err = json.Unmarshal(e.Value, &record)
		}
		if err != nil || len(record.Owned) > 0 {
			return fmt.Sprintf("%+v, %v", record, err)
		}
		return ""
	})
	s.publish(named(4, "Dora"))
	p.eventually("200 Anna; 201 Dora; 202 Carl")
	// Ben comes back too late: he is a new colleague.
	s.publish(named(2, "Ben"))
	p.eventually("200 Anna; 201 Dora; 202 Carl; 203 Ben")
	if did := p.did(); !slices.Equal(did[2:], []string{"disable 201", "create 202", "delete 201", "create 201", "create 203"}) &&
		!slices.Equal(did[2:], []string{"create 202", "disable 201", "delete 201", "create 201", "create 203"}) {
		t.Errorf("%v", did)
	}
}

func TestUsersWithTheSameNumbersAreDifferentUsers(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	anna, ben := named(1, "Anna"), named(2, "Ben")
	for _, u := range []*wire.User{&anna, &ben} {
		u.Mobile, u.OfficePhone = "+49 171 1", "+49 30 901820"
	}
	s.publish(anna, ben)
	opts := synchronising("sync")
	rules := opts.Rules["contoso"]
	rules.CallerID = true
	opts.Rules["contoso"] = rules
	s.live("test", opts)
	p.eventually("200 Anna; 201 Ben")
	for number, mail := range map[identity.Extension]string{"200": "anna@x", "201": "ben@x"} {
		if got := p.extension(number); got.Mail != mail || got.Mobile != "+49 171 1" || got.CallerID != "+4930901820" {
			t.Errorf("%s was made as %+v", number, got)
		}
	}
	s.nothingToDo()
	shown, err := plans.Load(t.Context(), s.open(topology.Plans), s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan}).Plan)
	if err != nil || len(shown.Changes) != 0 {
		t.Errorf("something is said of them: %+v, %v", shown.Changes, err)
	}
}

// extension is what the phone system has under a number.
func (p *phones) extension(number identity.Extension) directory.Extension {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has[number]
}

// A kill after an extension was noted as taken over and before the phone system was told:
// all but the marker is as it should be, so nothing else would ever be written.
func TestATakeOverThatWasCutOffIsWhole(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.set(byHand("210", "Dora"))
	p.listed()
	s.publish(named(4, "Dora"))
	value, err := json.Marshal(links.Record{Owned: []directory.Record{{Line: lineOf("210"), How: directory.Adopted, Since: s.bus.Now(), WasEnabled: true, Unsent: true}}})
	if err == nil {
		_, err = s.bucket.Put(t.Context(), wire.PersonKey(person(4)), value)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.live("test", synchronising("sync"))
	bustest.Eventually(t, 20*time.Second, func() string {
		if marker := p.extension("210").Marker; marker != person(4).User {
			return fmt.Sprintf("it is marked as %q", marker)
		}
		return ""
	})
	s.nothingToDo()
	if did := p.did(); !slices.Equal(did, []string{"adopt 210"}) {
		t.Errorf("%v", did)
	}
}

// The plan after that of an adoption or a return finds the records stored, and would call
// what is on its way an update.
func TestWhatIsOnItsWayIsNotSentUnderAnotherName(t *testing.T) {
	for _, tt := range []struct {
		name     string
		is, next wire.ChangeOp
		due      bool
	}{
		{"an adoption is an update", wire.OpAdopt, wire.OpUpdate, false},
		{"a return is an update", wire.OpReturn, wire.OpUpdate, false},
		{"an update is no adoption of its own", wire.OpUpdate, wire.OpAdopt, false},
		{"to make one is something else", wire.OpCreate, wire.OpUpdate, true},
		{"so is to disable it", wire.OpReturn, wire.OpDisable, true},
	} {
		want := wire.ExtensionWant{ID: "1", Person: person(1), Line: lineOf("200"), Op: tt.is, Update: directory.Update{Fields: []directory.Field{directory.Enabled}, To: byHand("200", "Anna")}}
		sent := newSent()
		sent.sending(want)
		if want.Op = tt.next; sent.due(want) != tt.due {
			t.Errorf("%s: due is %v", tt.name, !tt.due)
		}
	}
}

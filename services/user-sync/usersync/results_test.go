package usersync

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// planned has a plan made and returns it with its changes.
func (s *stage) planned() plans.Head {
	s.t.Helper()
	head, err := plans.Load(s.t.Context(), s.open(topology.Plans), s.ordered(wire.SyncOrder{ID: newID(), Op: wire.SyncPlan}).Plan)
	if err != nil {
		s.t.Fatal(err)
	}
	return head
}

// refusing makes the phone system refuse whatever is wanted of some numbers.
func (p *phones) refusing(numbers ...identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		if slices.Contains(numbers, w.Line.Extension) {
			return wire.ChangeRefused, nil
		}
		return wire.ChangeDone, nil
	}
}

func TestWhatWasTriedInVainIsInTheNextPlan(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.refusing("201")
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	stop := s.start(synchronising("off"))
	first := s.planned()
	if len(first.Changes) != 2 || first.Changes[0].Tried != nil || first.Changes[1].Tried != nil {
		t.Fatalf("before anything was tried: %+v", first.Changes)
	}
	before := s.bus.Now().Add(-time.Second)
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncApply, Plan: first.ID})
	if out.State != wire.SyncDone || out.Total != 2 || out.Done != 2 || out.Failed != 1 || !strings.Contains(out.Detail, first.ID) {
		t.Errorf("%+v", out)
	}
	told := func(when string) plans.Head {
		t.Helper()
		next := s.planned()
		if len(next.Changes) != 1 || next.Changes[0].Name != "ben@x" {
			t.Fatalf("%s: %+v", when, next.Changes)
		}
		tried := next.Changes[0].Tried
		if tried == nil || tried.Result != string(wire.ChangeRefused) || tried.Detail != "not with the name Ben" || tried.At.Before(before) || tried.At.After(s.bus.Now()) {
			t.Errorf("%s: it was tried %+v", when, tried)
		}
		return next
	}
	told("after it was refused")
	// What came of a photo says nothing of the extension, now and after a restart.
	s.publish(wire.ExtensionOutcome{ID: "etag", Person: person(2), Line: lineOf("201"), Op: directory.SetPhoto, Result: wire.ChangeDone, At: s.bus.Now()})
	told("after a photo")
	stop()
	s.start(synchronising("off"))
	next := told("after a restart")
	p.refusing()
	if out := s.ordered(wire.SyncOrder{ID: "2", Op: wire.SyncApply, Plan: next.ID}); out.State != wire.SyncDone || out.Total != 1 || out.Failed != 0 {
		t.Errorf("%+v", out)
	}
	if last := s.planned(); len(last.Changes) != 0 {
		t.Errorf("after it was done: %+v", last.Changes)
	}
}

// What is parked, or told to nobody, is no success.
func TestWhatLeavesTheQueueWithoutAWordFailed(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.mute = func(w wire.ExtensionWant) bool { return w.Line.Extension == "200" }
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	s.start(synchronising("off"))
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncApply, Plan: s.planned().ID})
	if out.State != wire.SyncDone || out.Done != 2 || out.Failed != 1 {
		t.Errorf("%+v", out)
	}
	next := s.planned()
	if len(next.Changes) != 1 || next.Changes[0].Tried == nil || next.Changes[0].Tried.Result != string(wire.ChangeLost) || !strings.Contains(next.Changes[0].Tried.Detail, "parked") {
		t.Errorf("%+v", next.Changes)
	}
}

func TestOutcomesOfOthersSayNothingOfAPerson(t *testing.T) {
	a := newAttempts()
	refused := wire.ExtensionOutcome{Person: person(1), Line: lineOf("200"), Result: wire.ChangeRefused, Detail: strings.Repeat("ü", 2*mostDetail), Plan: "p"}
	a.note(refused)
	if is := a.of(lineOf("200"), person(1)); is == nil || len([]rune(is.Detail)) != mostDetail {
		t.Errorf("%+v", is)
	}
	if is := a.of(lineOf("200"), person(2)); is != nil {
		t.Errorf("of somebody else: %+v", is)
	}
	if is := a.of(lineOf("201"), person(1)); is != nil {
		t.Errorf("of another extension: %+v", is)
	}
	if a.failed("p") != 1 || a.failed("") != 0 {
		t.Error("it does not count for its plan alone")
	}
	refused.Result = wire.ChangeAlready
	a.note(refused)
	if a.of(lineOf("200"), person(1)) != nil || a.failed("p") != 0 || len(a.lines) != 0 {
		t.Error("it is kept after it was done")
	}
}

// A name that is longer than the phone system takes is cut, and said; it costs nobody the
// extension.
func TestWhoHasALongNameGetsAnExtensionAllTheSame(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		if utf8.RuneCountInString(w.Update.To.FirstName) > longest || len(w.Update.To.Mail) > longest {
			return wire.ChangeRefused, nil
		}
		return wire.ChangeDone, nil
	}
	p.listed()
	anna := named(1, strings.Repeat("\u00fc", 300))
	anna.Mail, anna.Mobile = strings.Repeat("a", 300)+"@x", "call me"
	s.publish(anna, named(2, "Ben"))
	s.start(synchronising("sync"))
	p.eventually("200 " + strings.Repeat("\u00fc", longest) + "; 201 Ben")
	if is := p.has["200"]; is.Mail != "" || is.Mobile != "" || is.LastName != "Moreau" {
		t.Errorf("made as %+v", is)
	}
	var shown plans.Head
	bustest.Eventually(t, 20*time.Second, func() string {
		if shown = s.planned(); len(shown.Changes) != 1 || shown.Changes[0].Op != plan.Skip || shown.Changes[0].Reason != string(directory.Same) {
			return fmt.Sprint(shown.Changes)
		}
		return ""
	})
	want := []plan.Remark{{Field: "mobile", Reason: "not-a-number", Detail: "call me"}, {Field: "first_name", Reason: "shortened", Detail: "to 255 characters"}, {Field: "mail", Reason: "too-long", Detail: "for 255 characters"}}
	if c := shown.Changes[0]; c.Object != person(1).String() || c.Name == "" || !slices.Equal(c.Remarks, want) || shown.Total != 0 {
		t.Errorf("%+v", c)
	}
	if fmt.Sprint(shown.Remarks) != "map[not-a-number:1 shortened:1 too-long:1]" {
		t.Errorf("counted %v", shown.Remarks)
	}
}

func TestAnOrderGoesOnAfterARestart(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	held := true // of p.mu
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		switch {
		case w.Line.Extension == "201":
			return wire.ChangeRefused, nil
		case w.Line.Extension >= "204" && held:
			return "", fault.After(fault.Unavailable, "phones", 20*time.Millisecond, nil)
		}
		return wire.ChangeDone, nil
	}
	p.listed()
	for i := range 8 {
		s.publish(named(1+i, fmt.Sprint("U", i)))
	}
	stop := s.start(synchronising("off"))
	made := s.planned()
	s.publish(wire.SyncOrder{ID: "1", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncApply, Plan: made.ID})
	p.eventually("200 U0; 202 U2; 203 U3")
	bustest.Eventually(t, 20*time.Second, func() string {
		if head, err := plans.Read(t.Context(), s.open(topology.Plans), made.ID); err != nil || !head.Sent || head.Failed != 1 {
			return fmt.Sprintf("%+v, %v", head, err)
		}
		return ""
	})
	stop()
	p.mu.Lock()
	held = false
	p.mu.Unlock()
	p.eventually("200 U0; 202 U2; 203 U3; 204 U4; 205 U5; 206 U6; 207 U7") // nobody needs this service for that
	s.start(synchronising("off"))
	out := s.ended("1", wire.SyncApply)
	if out.State != wire.SyncDone || out.Plan != made.ID || out.Total != 8 || out.Done != 8 || out.Failed != 1 {
		t.Errorf("%+v", out)
	}
	if head, err := plans.Read(t.Context(), s.open(topology.Plans), made.ID); err != nil || head.State != wire.SyncDone || head.Done != 8 || head.Failed != 1 {
		t.Errorf("%+v, %v", head, err)
	}
}

// A kill between two wants: the order comes again, however late, and what is done by then
// is not done twice.
func TestAPlanThatWasCutOffInTheMiddleIsAppliedByItsOrder(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	stop := s.start(synchronising("off"))
	made := s.planned()
	stop()
	p.set(directory.Extension{Number: "200", Enabled: true, Marker: person(1).User, Fields: directory.Fields{FirstName: "Anna", LastName: "Moreau", Mail: "anna@x", Department: group}})
	made.State, made.Order, made.Op = wire.SyncApplying, "1", wire.SyncApply
	if err := plans.Note(t.Context(), s.open(topology.Plans), made); err != nil {
		t.Fatal(err)
	}
	s.start(synchronising("off"))
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncApply, Plan: made.ID, Expires: s.bus.Now().Add(-time.Minute)})
	if out.State != wire.SyncDone || out.Total != 2 || out.Done != 2 || out.Failed != 0 {
		t.Errorf("%+v", out)
	}
	p.eventually("200 Anna; 201 Ben")
	// Another copy of the order changes nothing that was said.
	s.publish(wire.SyncOrder{ID: "1", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncApply, Plan: made.ID})
	s.planned() // behind it
	if again := s.ended("1", wire.SyncApply); again != out {
		t.Errorf("%+v after %+v", again, out)
	}
}

func TestTheBrakeRemembersOverARestart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		forget bool // what was removed: the control
		want   string
	}{
		{"what was removed before counts", false, "200 U0 off; 201 U1 off; 202 U2 off; 203 U3; 204 U4; 205 U5; 206 U6; 207 U7; 208 New"},
		{"forgotten, the brake would be crept past", true, "200 U0 off; 201 U1 off; 202 U2 off; 203 U3 off; 204 U4; 205 U5; 206 U6; 207 U7; 208 New"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			p := s.phones()
			p.listed()
			for i := range 8 {
				s.publish(named(1+i, fmt.Sprint("U", i)))
			}
			stop := s.start(synchronising("sync"))
			p.eventually("200 U0; 201 U1; 202 U2; 203 U3; 204 U4; 205 U5; 206 U6; 207 U7")
			for i := range 3 {
				s.publish(wire.User{Person: person(1 + i), Gone: true})
			}
			p.eventually("200 U0 off; 201 U1 off; 202 U2 off; 203 U3; 204 U4; 205 U5; 206 U6; 207 U7")
			stop()
			if bucket := s.open(topology.Plans); tt.forget {
				e, err := bucket.Get(t.Context(), removalsKey("hq"))
				if err == nil {
					err = bucket.Delete(t.Context(), e.Key, e.Revision)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			s.publish(wire.User{Person: person(4), Gone: true}, named(9, "New"))
			s.start(synchronising("sync"))
			p.eventually(tt.want)
			if held := s.planned().Brake.Held; (held == 1) == tt.forget {
				t.Errorf("%d are held back", held)
			}
		})
	}
}

// The basis of a plan tells what it was made of: two plans of the same world have the
// same, and one whose user was renamed since is not applied.
func TestARenamedUserMakesAPlanStale(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	stop := s.start(synchronising("off"))
	first, second := s.planned(), s.planned()
	if fmt.Sprint(first.Basis) != fmt.Sprint(second.Basis) || first.Basis["users"] == 0 || first.Basis["system hq"] == 0 || first.Basis["rules"] == 0 {
		t.Errorf("made of the same: %v and %v", first.Basis, second.Basis)
	}
	s.publish(named(2, "Benjamin"))
	var third plans.Head
	bustest.Eventually(t, 20*time.Second, func() string {
		third = s.planned()
		if i := slices.IndexFunc(third.Changes, func(c plan.Change) bool { return c.Name == "benjamin@x" }); i < 0 {
			return fmt.Sprint(third.Changes)
		}
		return ""
	})
	if third.Basis["users"] <= second.Basis["users"] || third.Basis["rules"] != second.Basis["rules"] {
		t.Errorf("made after a user was renamed: %v and %v", second.Basis, third.Basis)
	}
	if out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncApply, Plan: second.ID}); out.State != wire.SyncStale {
		t.Errorf("%+v", out)
	}
	if did := p.did(); len(did) > 0 {
		t.Errorf("done all the same: %v", did)
	}
	p.set(directory.Extension{Number: "100", Fields: directory.Fields{FirstName: "Reception"}, Enabled: true})
	bustest.Eventually(t, 20*time.Second, func() string {
		if now := s.planned(); now.Basis["extensions hq"] <= third.Basis["extensions hq"] {
			return fmt.Sprint(now.Basis)
		}
		return ""
	})
	stop()
	s.start(func() Options {
		o := edited(func(u *config.Users) { u.StartExtension = "300" })
		rules := o.Rules["contoso"]
		rules.Policy = "off"
		o.Rules["contoso"] = rules
		return o
	}())
	if now := s.planned(); now.Basis["rules"] == third.Basis["rules"] {
		t.Errorf("other rules, the same basis: %v", now.Basis)
	}
}

// A kill between the note of a plan's end and its telling.
func TestTheEndOfAPlanIsToldThoughItWasNotedBefore(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"))
	stop := s.start(synchronising("off"))
	made := s.planned()
	if out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncApply, Plan: made.ID}); out.State != wire.SyncDone {
		t.Fatalf("%+v", out)
	}
	stop()
	head, err := plans.Read(t.Context(), s.open(topology.Plans), made.ID)
	if err != nil || head.State != wire.SyncDone {
		t.Fatalf("%+v, %v", head, err)
	}
	head.Order = "2" // which nobody has been told of
	if err := plans.Note(t.Context(), s.open(topology.Plans), head); err != nil {
		t.Fatal(err)
	}
	s.start(synchronising("off"))
	if out := s.ended("2", wire.SyncApply); out.State != wire.SyncDone || out.Plan != made.ID || out.Total != 1 || out.Done != 1 || out.Failed != 0 {
		t.Errorf("%+v", out)
	}
}

// A plan is refused once something else would be done than was shown; whoever orders what
// is due now was shown nothing, and gets what came in meanwhile, too.
func TestWhatComesInWhileItIsPlannedDoesNotRefuseWhatIsDueNow(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"))
	opts := synchronising(string(plan.Off))
	const more = 100
	opts.effects = func(effect string) error {
		if effect == "after plan" && !p.made("201") {
			for i := range more { // before the last is there the first has been heard of
				s.publish(named(2+i, fmt.Sprint("Ben", i)))
			}
		}
		return nil
	}
	s.start(opts)
	s.eventually(wire.SyncOrder{Op: wire.SyncNow}, func(o wire.SyncOutcome) bool {
		if o.State == wire.SyncStale {
			t.Fatalf("%+v", o)
		}
		return o.State == wire.SyncDone && p.made("201")
	})
}

// made says whether there is an extension of a number.
func (p *phones) made(number identity.Extension) bool { return p.extension(number).Number != "" }

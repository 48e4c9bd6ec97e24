package usersync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// phones does to a phone system in memory what is wanted, as pbx-writer would.
type phones struct {
	s *stage

	mu     sync.Mutex // guards what follows
	has    map[identity.Extension]directory.Extension
	done   []string // "create 200", in order
	answer func(wire.ExtensionWant) (wire.ChangeResult, error)
	mute   func(wire.ExtensionWant) bool // whose outcome nobody tells
	away   bool                          // it does not list its extensions
}

func (s *stage) phones() *phones {
	p := &phones{s: s, has: map[identity.Extension]directory.Extension{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 2)
	go func() {
		ended <- s.bus.Consume(ctx, bus.Consumer{Stream: topology.Changes, Durable: "phones", NewestOnly: true,
			Filters: []string{topology.Wildcard("pbx.want.extension.<system>.<ext>")}}, p.carryOut)
	}()
	go func() {
		ended <- run.Ended(ctx, s.bus.Follow(ctx, topology.Wants, []string{topology.Wildcard("pbx.want.inventory.<system>")}, p.inventory, func() {}))
	}()
	s.t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		}
	})
	return p
}

// inventory lists everything, because that is wanted.
func (p *phones) inventory(bus.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil
	}
	at := p.s.bus.Now()
	for number := range p.has {
		p.tell(number)
	}
	p.listedAt(at)
	return nil
}

func (p *phones) carryOut(ctx context.Context, m bus.Message) error {
	w, err := wire.DecodeExtensionWant(m.Data)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute != nil && p.mute(w) {
		return nil
	}
	result := wire.ChangeDone
	if p.answer != nil {
		if result, err = p.answer(w); err != nil {
			return err
		}
	}
	if result.Well() {
		p.done = append(p.done, string(w.Op)+" "+string(w.Line.Extension))
		e, there := p.has[w.Line.Extension]
		switch {
		case w.Op == wire.OpCreate && there:
			result = wire.ChangeTaken
		case w.Op == wire.OpCreate:
			p.has[w.Line.Extension] = w.Update.To
		case w.Op == wire.OpDelete:
			delete(p.has, w.Line.Extension)
		default:
			w.Update.Apply(&e)
			p.has[w.Line.Extension] = e
		}
		p.tell(w.Line.Extension)
	}
	detail := ""
	if !result.Well() {
		detail = "not with the name " + w.Update.To.FirstName
	}
	p.s.publish(wire.ExtensionOutcome{ID: w.ID, Person: w.Person, Line: w.Line, Op: w.Op, Result: result, Detail: detail, Plan: w.Plan, At: p.s.bus.Now()})
	return nil
}

// tell publishes an extension as it is. mu is held.
func (p *phones) tell(number identity.Extension) {
	e, there := p.has[number]
	p.s.publish(wire.Inventory{Line: lineOf(number), Fields: e.Fields, Marker: e.Marker, Enabled: e.Enabled, Gone: !there, SeenAt: p.s.bus.Now()})
}

// set makes an extension what a person at the phone system makes of it.
func (p *phones) set(e directory.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has[e.Number] = e
	p.tell(e.Number)
}

// edit is set while nobody looks: the next listing tells.
func (p *phones) edit(number identity.Extension, how func(*directory.Extension)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.has[number]
	how(&e)
	p.has[number] = e
}

func (p *phones) remove(number identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.has, number)
	p.tell(number)
}

// shows is "200 Anna; 201 Ben off", by number.
func (p *phones) shows() string {
	return p.list(func(directory.Extension) string { return "" })
}

// list is a word for each extension, by number: its number and name, what is said of it,
// and whether it is off.
func (p *phones) list(said func(directory.Extension) string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var words []string
	for _, number := range slices.Sorted(maps.Keys(p.has)) {
		e := p.has[number]
		word := string(number) + " " + e.FirstName + said(e)
		if !e.Enabled {
			word += " off"
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

func (p *phones) did() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.done)
}

// longest is how many characters the phone system takes of a first name or an address.
const longest = 255

// listed is what pbx-writer says when it has listed everything.
func (p *phones) listed() { p.listedAt(p.s.bus.Now()) }

func (p *phones) listedAt(began time.Time) {
	p.s.publish(wire.System{System: "hq", ListedAt: began, Photo: 240, Limits: map[directory.Field]int{directory.FirstName: longest, directory.Mail: longest, "of-a-later-version": 1},
		Fields: []directory.Field{directory.FirstName, directory.LastName, directory.Mail, directory.Mobile, directory.CallerID, directory.Department, directory.Language, directory.SignIn, directory.Enabled}})
}

func (p *phones) eventually(want string) {
	p.s.t.Helper()
	bustest.Eventually(p.s.t, 20*time.Second, func() string {
		if got := p.shows(); got != want {
			return fmt.Sprintf("the phone system has %q, want %q", got, want)
		}
		return ""
	})
}

// named is the i-th user, with a name.
func named(i int, first string) wire.User {
	u := user(person(i), strings.ToLower(first)+"@x")
	u.GivenName, u.Surname, u.DisplayName, u.Enabled, u.Type = first, "Moreau", first+" Moreau", true, "Member"
	return u
}

func synchronising(policy string) Options {
	return Options{Serves: map[identity.System][]identity.Tenant{"hq": {"contoso"}}, Settle: time.Millisecond, Quiet: 50 * time.Millisecond, Minute: 200 * time.Millisecond,
		Rules: map[identity.Tenant]Rules{"contoso": {Users: config.Users{At: "0 2 * * *", Zone: "UTC", Include: []string{"all"}, StartExtension: "200", Hold: 24 * time.Hour,
			Policy: policy, Photos: true, Brake: config.Brake{Count: 3, Percent: 5}}}}}
}

func TestUsersGetExtensionsLoseThemAndComeBack(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.set(directory.Extension{Number: "200", Fields: directory.Fields{FirstName: "Reception"}, Enabled: true})
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	s.start(synchronising("sync"))
	p.eventually("200 Reception; 201 Anna; 202 Ben")
	s.owned("201", person(1))
	if got := p.has["201"]; got.Marker != person(1).User || got.Mail != "anna@x" || got.Department != group {
		t.Errorf("made as %+v", got)
	}

	// Somebody changes what Microsoft says: it returns. A department's own number stays.
	changed := p.has["201"]
	changed.FirstName = "Hanna"
	p.set(changed)
	p.eventually("200 Reception; 201 Anna; 202 Ben")

	// Somebody removes an extension by hand: it is back under its number.
	p.remove("202")
	p.eventually("200 Reception; 201 Anna; 202 Ben")
	s.owned("202", person(2))

	// Ben leaves. His number is nobody's until the hold is over, and his again if he returns.
	away := named(2, "Ben")
	away.Enabled = false
	s.publish(away)
	p.eventually("200 Reception; 201 Anna; 202 Ben off")
	s.owned("202", identity.Person{})
	s.publish(named(3, "Carl"))
	p.eventually("200 Reception; 201 Anna; 202 Ben off; 203 Carl")
	s.publish(named(2, "Ben"))
	p.eventually("200 Reception; 201 Anna; 202 Ben; 203 Carl")
	s.owned("202", person(2))
}

func TestWithoutAPolicyNothingIsMadeByItself(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.set(directory.Extension{Number: "101", Fields: directory.Fields{FirstName: "A", Mail: "anna@x"}, Enabled: true})
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	s.start(synchronising("off"))
	s.owned("101", person(1)) // paired all the same
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan})
	if out.State != wire.SyncPlanned || out.Total != 2 {
		t.Errorf("%+v", out)
	}
	if did := p.did(); len(did) > 0 {
		t.Errorf("done by itself: %v", did)
	}
	out = s.ordered(wire.SyncOrder{ID: "2", Op: wire.SyncApply, Plan: out.Plan})
	if out.State != wire.SyncDone || out.Done != 2 || out.Failed != 0 {
		t.Errorf("%+v", out)
	}
	p.eventually("101 Anna; 200 Ben")
}

func TestAPlanOfYesterdayIsNotApplied(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(named(1, "Anna"))
	s.start(synchronising("off"))
	first := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan})
	head, err := plans.Load(t.Context(), s.open(topology.Plans), first.Plan)
	if err != nil || len(head.Changes) != 1 || head.Changes[0].Name != "anna@x" {
		t.Fatalf("%+v, %v", head, err)
	}
	s.publish(named(2, "Ben"))
	if out := s.eventually(wire.SyncOrder{Op: wire.SyncPlan}, func(o wire.SyncOutcome) bool { return o.Total == 2 }); out.Plan == first.Plan {
		t.Error("two plans have one name")
	}
	if out := s.ordered(wire.SyncOrder{ID: "3", Op: wire.SyncApply, Plan: first.Plan}); out.State != wire.SyncStale {
		t.Errorf("%+v", out)
	}
	if out := s.ordered(wire.SyncOrder{ID: "4", Op: wire.SyncApply, Plan: "contoso-users-none"}); out.State != wire.SyncRefused {
		t.Errorf("%+v", out)
	}
	if out := s.ordered(wire.SyncOrder{ID: "5", Op: wire.SyncPlan, Expires: s.bus.Now().Add(-time.Second)}); out.State != wire.SyncExpired {
		t.Errorf("%+v", out)
	}
}

func TestTheBrakeHoldsBackWhatATripOfTheDirectoryWouldTakeAway(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	var everybody []wire.Message
	for i := range 8 {
		everybody = append(everybody, named(1+i, fmt.Sprint("U", i)))
	}
	s.publish(everybody...)
	s.start(synchronising("sync"))
	p.eventually("200 U0; 201 U1; 202 U2; 203 U3; 204 U4; 205 U5; 206 U6; 207 U7")
	for i := range 5 {
		s.publish(wire.User{Person: person(1 + i), Gone: true})
	}
	out := s.eventually(wire.SyncOrder{Op: wire.SyncNow}, func(o wire.SyncOutcome) bool { return o.State == wire.SyncBraked })
	if out.Detail == "" {
		t.Errorf("%+v", out)
	}
	if off := strings.Count(p.shows(), " off"); off > 3 {
		t.Errorf("%d are off: %s", off, p.shows())
	}
	if out := s.eventually(wire.SyncOrder{Op: wire.SyncNow, Force: true}, func(o wire.SyncOutcome) bool { return o.State == wire.SyncDone }); out.Failed > 0 {
		t.Errorf("%+v", out)
	}
	p.eventually("200 U0 off; 201 U1 off; 202 U2 off; 203 U3 off; 204 U4 off; 205 U5; 206 U6; 207 U7")
}

func TestANumberThatTurnsOutToBeTakenIsGivenUp(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		if w.Line.Extension == "200" { // a queue, which no listing of extensions has
			return wire.ChangeTaken, nil
		}
		return wire.ChangeDone, nil
	}
	p.listed()
	s.publish(named(1, "Anna"))
	s.start(synchronising("sync"))
	p.eventually("201 Anna")
}

func TestAFullLicenceIsAStopUntilThereIsRoom(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		if w.Op == wire.OpCreate && len(p.has) >= 2 {
			return wire.ChangeFull, nil
		}
		return wire.ChangeDone, nil
	}
	p.set(directory.Extension{Number: "100", Fields: directory.Fields{FirstName: "Reception"}, Enabled: true})
	p.listed()
	s.publish(named(1, "Anna"), named(2, "Ben"), named(3, "Carl"))
	s.start(synchronising("sync"))
	bustest.Eventually(t, 20*time.Second, func() string {
		if got := p.shows(); strings.Count(got, ";") != 1 {
			return got
		}
		return ""
	})
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan})
	if !strings.Contains(out.Detail, "skip") && !strings.Contains(out.Detail, "create") {
		t.Errorf("%+v", out)
	}
	p.remove("100")
	bustest.Eventually(t, 20*time.Second, func() string {
		if got := p.shows(); strings.Count(got, ";") != 1 || strings.Contains(got, "100") {
			return got
		}
		return ""
	})
}

func TestAPhoneSystemThatKeepsItsOwnFormOfAValueIsWrittenToOnce(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.answer = func(w wire.ExtensionWant) (wire.ChangeResult, error) {
		p.done = append(p.done, string(w.Op))
		e := w.Update.To
		e.Mobile = "+491701" // however it is written
		p.has[e.Number] = e
		p.tell(e.Number)
		return wire.ChangeAlready, errDone(p, w)
	}
	p.listed()
	anna := named(1, "Anna")
	anna.Mobile = "+49 170 1"
	s.publish(anna)
	s.start(synchronising("sync"))
	p.eventually("200 Anna")
	for range 3 {
		s.ordered(wire.SyncOrder{ID: newID(), Op: wire.SyncPlan})
	}
	if did := p.did(); len(did) > 2 {
		t.Errorf("%v", did)
	}
}

// errDone publishes the outcome and ends the handling.
func errDone(p *phones, w wire.ExtensionWant) error {
	p.s.publish(wire.ExtensionOutcome{ID: w.ID, Person: w.Person, Line: w.Line, Op: w.Op, Result: wire.ChangeDone, Plan: w.Plan})
	return fault.New(fault.Stale, "done", nil)
}

func TestAPhotoGoesToWhoeverHasAnExtension(t *testing.T) {
	s := newStage(t)
	s.withAnna()
	s.photo("1")
	s.wantsPhoto("200", "1")
}

// ordered asks for something and returns its last outcome.
func (s *stage) ordered(o wire.SyncOrder) (last wire.SyncOutcome) {
	s.t.Helper()
	o.Tenant, o.Kind = "contoso", wire.SyncUsers
	s.publish(o)
	return s.ended(o.ID, o.Op)
}

// ended waits for the end of an order and returns its last outcome. What a service had in
// hand when it ended can take a quarter of a minute to come again, and orders come one
// after the other.
func (s *stage) ended(id string, op wire.SyncOp) (last wire.SyncOutcome) {
	s.t.Helper()
	bustest.Eventually(s.t, 60*time.Second, func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, wire.SyncOutcomeSubject("contoso", id))
		if err != nil {
			return err.Error()
		}
		if last, err = wire.DecodeSyncOutcome(m.Data); err != nil || !last.State.Ended(op) {
			return fmt.Sprintf("%+v, %v", last, err)
		}
		return ""
	})
	return last
}

// eventually repeats an order until its outcome is good.
func (s *stage) eventually(o wire.SyncOrder, good func(wire.SyncOutcome) bool) (last wire.SyncOutcome) {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, func() string {
		o.ID = newID()
		if last = s.ordered(o); !good(last) {
			return fmt.Sprintf("%+v", last)
		}
		return ""
	})
	return last
}

func (s *stage) open(name topology.Bucket) *store.Bucket {
	s.t.Helper()
	b, err := store.Open(s.t.Context(), s.bus.JetStream(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

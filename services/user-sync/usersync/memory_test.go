package usersync

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/wire"
)

// installed is all that is kept of users of whom everything is known: an extension each,
// a record, a pair, a change on its way, and a plan that does something for everybody.
type installed struct {
	facts   *facts
	records *records
	sent    *sent
	plan    directory.Result
}

// install makes extensions for so many users.
func install(t *testing.T, users int) *installed {
	t.Helper()
	in := &installed{newFacts(), &records{words: newWords(), known: map[identity.Tenant]*shelf[packedRecord]{}}, newSent(), directory.Result{}}
	for i := range users {
		in.tell(t, employee(i))
	}
	in.make(t) // nobody has one: everybody gets one
	in.make(t) // they are on their way: they are asked for again
	return in
}

// employee is the i-th user, with values that are as long as they mostly are.
func employee(i int) wire.User {
	first, last := []string{"Anna", "Friederike", "Jo", "Bartholomew"}[i%4], "Moreau"+strconv.Itoa(i)
	mail := fmt.Sprintf("%s.%s@contoso.example", first, last)
	return wire.User{Person: person(i), UPN: mail, Mail: mail, GivenName: first, Surname: last, DisplayName: first + " " + last, Mobile: fmt.Sprintf("+49 171 %07d", i),
		OfficePhone: fmt.Sprintf("+49 30 23125 %d", i), Department: "Research and Development", Language: "de-DE", Type: "Member", Enabled: true, SeenAt: time.Unix(1_800_000_000, 0)}
}

// tell has a fact heard.
func (in *installed) tell(t *testing.T, m wire.Message) {
	t.Helper()
	subject, data := m.Encode()
	if err := in.facts.fold(bus.Message{Subject: subject, Data: data, Sequence: 1}); err != nil {
		t.Fatal(err)
	}
}

// make plans, keeps what is decided as if it was stored and sent, and tells that half of
// it is done.
func (in *installed) make(t *testing.T) {
	t.Helper()
	now := time.Unix(1_800_000_000, 1)
	in.plan = directory.Result{}
	v := directory.View{System: "hq", Now: now, Brake: plan.Brake{Count: 3, Percent: 5}, Rules: map[identity.Tenant]*directory.Rules{"contoso": {Start: "100000", CallerID: true, Department: true, Group: group}}}
	var err error
	if in.plan, err = directory.PlanLists(v, in.lists()); err != nil {
		t.Fatal(err)
	}
	for i := range in.plan.Steps {
		step := &in.plan.Steps[i]
		want := wire.ExtensionWant{ID: newID(), Person: step.Person, Line: step.Line, Op: wire.ChangeOp(step.Op), Update: step.Update()}
		if record, ok := step.Record(); ok {
			link := links.Line{Line: step.Line, Revision: uint64(now.UnixMicro()), How: "created", Since: now}
			in.records.keep("contoso", packRecord(step.Person.User, kept{Record: links.Record{Lines: []links.Line{link}, Owned: []directory.Record{record}}, revision: uint64(i)}, in.records.words))
		}
		in.sent.sending(want)
		if is := want.Update.To; i%2 == 0 {
			is.Marker = ""
			in.tell(t, wire.Inventory{Line: step.Line, Fields: is.Fields, Enabled: true, Powers: presence.Powers{Write: presence.All}})
		}
	}
}

func (in *installed) lists() directory.Lists {
	return directory.Lists{Users: in.facts.usersOf([]identity.Tenant{"contoso"}), Extensions: in.facts.linesOf("hq"), Records: in.records.owned("hq")}
}

// wasteful is a copy of everything that a plan is made of, as it is when it is unpacked.
type wasteful struct {
	*installed
	users   []directory.User
	records []directory.Record
}

// each is how many bytes are alive for each of so many users, beyond what less than them
// take, after the collector has been.
func each(t *testing.T, install func(users int) any) int {
	t.Helper()
	const few, many = 2_000, 12_000
	alive := func(users int) int {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		in := install(users)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(in)
		return int(after.HeapAlloc) - int(before.HeapAlloc)
	}
	return (alive(many) - alive(few)) / (many - few)
}

// most is how many bytes may be alive for a user, in the middle of a first run.
const most = 850

func TestAUserCostsLittleMemory(t *testing.T) {
	bytes := each(t, func(users int) any { return install(t, users) })
	t.Logf("%d bytes", bytes)
	if bytes > most {
		t.Errorf("a user costs %d bytes", bytes)
	}
}

func TestAServiceThatUnpacksEverybodyIsCaught(t *testing.T) {
	bytes := each(t, func(users int) any {
		w := wasteful{installed: install(t, users)}
		lists := w.lists()
		for i := range lists.Users.Len() {
			w.users = append(w.users, lists.Users.At(i))
		}
		for i := range lists.Records.Len() {
			w.records = append(w.records, lists.Records.At(i))
		}
		return w
	})
	if bytes <= most {
		t.Errorf("a user costs no more than %d bytes", bytes)
	}
}

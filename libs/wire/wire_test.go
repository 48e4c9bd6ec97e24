package wire_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// kind is one type of message: how to make one, and how to read it. What the
// payload does not hold is in the subject, and put back by whole.
type kind struct {
	name   string
	random func(*rand.Rand) wire.Message
	decode func([]byte) (wire.Message, error)
	whole  func(decoded, encoded wire.Message) wire.Message
}

func decoder[T wire.Message](decode func([]byte) (T, error)) func([]byte) (wire.Message, error) {
	return func(data []byte) (wire.Message, error) { return decode(data) }
}

func kinds() []kind {
	return append(peopleKinds(), []kind{
		{name: "presence", decode: decoder(wire.DecodePresence), random: func(r *rand.Rand) wire.Message {
			return wire.Presence{Person: somebody(r), Reading: presence.TeamsReading{Availability: word(r), Activity: word(r), Sequence: word(r),
				Source: one(r, presence.Poll, presence.Notification), SeenAt: moment(r)}}
		}},
		{name: "sweep", decode: decoder(wire.DecodeSweep), random: func(r *rand.Rand) wire.Message {
			s := wire.Sweep{Tenant: "contoso", Shard: one(r, wire.ShardAll, "0", "ff"), Began: moment(r), Ended: moment(r), Users: r.IntN(1000), OK: flag(r), Denied: flag(r)}
			for range r.IntN(3) {
				s.Failed = append(s.Failed, somebody(r).User)
			}
			return s
		}},
		{name: "user", decode: decoder(wire.DecodeUser), random: func(r *rand.Rand) wire.Message {
			return wire.User{Person: somebody(r), UPN: word(r), Mail: word(r), DisplayName: word(r), GivenName: word(r), Surname: word(r),
				Mobile: word(r), OfficePhone: word(r), Department: word(r), Language: word(r), Purpose: word(r), Photo: word(r), Type: word(r), Enabled: flag(r), Gone: flag(r), SeenAt: moment(r)}
		}},
		{name: "status", decode: decoder(wire.DecodeStatus), random: func(r *rand.Rand) wire.Message {
			reading := presence.StatusReading{Line: line(r), Status: status(r), Origin: one(r, "", presence.Ours, presence.Person, presence.Revert),
				SeenAt: moment(r), Observation: r.Int64()}
			if flag(r) {
				reading.LastPerson = &presence.Choice{Status: status(r), Observation: r.Int64(), At: moment(r)}
			}
			return wire.Status{Reading: reading}
		}},
		{name: "inventory", decode: decoder(wire.DecodeInventory), random: func(r *rand.Rand) wire.Message {
			set := func() presence.Set { return presence.Set(r.Uint32()) & presence.All }
			return wire.Inventory{Line: line(r), Fields: fields(r), Marker: marker(r), Enabled: flag(r), Gone: flag(r),
				Powers: presence.Powers{Write: set(), Read: set(), Ring: set()}, SeenAt: moment(r)}
		}},
		{name: "calendar", decode: decoder(wire.DecodeCalendar), random: func(r *rand.Rand) wire.Message {
			c := wire.Calendar{Person: somebody(r), From: moment(r), To: moment(r), Problem: word(r), SeenAt: moment(r)}
			for range r.IntN(3) {
				c.Intervals = append(c.Intervals, calendar.Interval{Class: one(r, calendar.Busy, calendar.OOF, calendar.Unknown), From: moment(r), To: moment(r)})
			}
			return c
		}},
		{name: "call", decode: decoder(wire.DecodeCall), random: func(r *rand.Rand) wire.Message {
			return wire.Call{Line: line(r), Calls: r.IntN(4), Since: moment(r), SeenAt: moment(r)}
		}},
		{name: "teams want", decode: decoder(wire.DecodeTeamsWant), random: func(r *rand.Rand) wire.Message { return teamsWant(r) }},
		{name: "teams outcome", decode: decoder(wire.DecodeTeamsOutcome), random: func(r *rand.Rand) wire.Message {
			return wire.TeamsOutcome{ID: "id" + word(r), Person: somebody(r), Result: wire.Result(r.IntN(int(wire.Failed) + 1)), Detail: word(r),
				Session: word(r), SessionUntil: moment(r), Preferred: word(r), PreferredUntil: moment(r), Reason: word(r), Revision: revision(r), Decision: word(r),
				SeenAt: moment(r), ReceivedAt: moment(r), BeganAt: moment(r), EndedAt: moment(r), Trace: word(r)}
		}},
		{name: "want", decode: decoder(wire.DecodeWant), random: func(r *rand.Rand) wire.Message { return want(r) }},
		{name: "decision", decode: decoder(wire.DecodeDecision), random: func(r *rand.Rand) wire.Message {
			d := wire.Decision{ID: word(r), Person: somebody(r), At: moment(r), Reason: word(r), Trigger: word(r), Revision: revision(r), Wake: moment(r)}
			for range r.IntN(3) {
				d.Claims = append(d.Claims, wire.Claim{Source: word(r), Status: status(r), Since: moment(r), Until: moment(r), Detail: word(r)})
				d.Evidence = append(d.Evidence, wire.Evidence{Kind: word(r), Value: word(r), Origin: word(r), SeenAt: moment(r), Sequence: r.Uint64()})
				d.Wants = append(d.Wants, want(r))
			}
			if flag(r) {
				w := teamsWant(r)
				d.Teams = &w
			}
			return d
		}},
		{name: "outcome", decode: decoder(wire.DecodeOutcome), random: func(r *rand.Rand) wire.Message {
			return wire.Outcome{ID: "id" + word(r), Person: somebody(r), Line: line(r), Result: wire.Result(r.IntN(int(wire.Failed) + 1)), Detail: word(r),
				Status: status(r), Before: status(r), Reason: word(r), Revision: revision(r), Decision: word(r),
				SeenAt: moment(r), ReceivedAt: moment(r), BeganAt: moment(r), EndedAt: moment(r), Trace: word(r)}
		}},
		{name: "ingress", decode: decoder(wire.DecodeIngress), random: func(r *rand.Rand) wire.Message {
			i := wire.Ingress{Tenant: "contoso", Resource: one(r, "presence", "lifecycle"), Subscription: word(r), Lifecycle: flag(r)}
			for range r.IntN(3) {
				i.Items, i.Tokens = append(i.Items, []byte("\xff"+word(r))), append(i.Tokens, word(r))
			}
			return i
		}, whole: func(decoded, encoded wire.Message) wire.Message {
			d := decoded.(wire.Ingress)
			d.Resource = encoded.(wire.Ingress).Resource
			return d
		}},
		{name: "group", decode: decoder(wire.DecodeGroup), random: func(r *rand.Rand) wire.Message {
			g := wire.Group{Tenant: "contoso", ID: identity.Group(somebody(r).User), Name: word(r), Problem: one(r, "", wire.GroupGone, wire.GroupDenied), SeenAt: moment(r)}
			for range r.IntN(3) {
				g.Members = append(g.Members, somebody(r).User)
			}
			slices.Sort(g.Members)
			g.Members = slices.Compact(g.Members)
			return g
		}},
		{name: "hint", decode: decoder(wire.DecodeHint), random: func(r *rand.Rand) wire.Message {
			return wire.Hint{Kind: "presence", Tenant: "contoso", ID: word(r), Cause: word(r), SeenAt: moment(r)}
		}, whole: func(decoded, encoded wire.Message) wire.Message {
			d := decoded.(wire.Hint)
			d.Kind = encoded.(wire.Hint).Kind
			return d
		}},
		{name: "account order", decode: decoder(wire.DecodeAccountOrder), random: func(r *rand.Rand) wire.Message {
			return wire.AccountOrder{ID: "id" + word(r), Tenant: "contoso", Kind: one(r, wire.Authorize, wire.Deauthorize), Account: word(r), AskedAt: moment(r), Expires: moment(r)}
		}},
		{name: "account outcome", decode: decoder(wire.DecodeAccountOutcome), random: func(r *rand.Rand) wire.Message {
			return wire.AccountOutcome{ID: "id" + word(r), Tenant: "contoso", Kind: wire.Authorize, State: one(r, wire.OrderCode, wire.OrderFailed), Account: word(r),
				UserCode: word(r), URL: word(r), CodeExpires: moment(r), Detail: word(r), At: moment(r)}
		}},
		{name: "lane", decode: decoder(wire.DecodeLane), random: func(r *rand.Rand) wire.Message {
			l := wire.Lane{Tenant: "contoso", Account: "a" + word(r), Configured: flag(r), State: one(r, wire.LaneListening, wire.LaneFailing), Since: moment(r), Detail: word(r),
				Users: r.IntN(650), Expires: moment(r), HeardAt: moment(r), Silences: r.IntN(9), Gone: flag(r), SeenAt: moment(r)}
			if flag(r) {
				l.User = somebody(r).User
			}
			return l
		}},
	}...)
}

func one[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }
func flag(r *rand.Rand) bool              { return r.IntN(2) == 0 }
func word(r *rand.Rand) string {
	return one(r, "", "Busy", "anna.o'neil@contoso.example", "Ünï😀", "a/b c\n")
}
func status(r *rand.Rand) presence.Status {
	return one(r, append(presence.Statuses(), presence.Unset)...)
}
func revision(r *rand.Rand) wire.Revision {
	return wire.Revision{Epoch: r.Uint64(), Sequence: r.Uint64()}
}

func moment(r *rand.Rand) time.Time {
	if r.IntN(4) == 0 {
		return time.Time{}
	}
	return time.Unix(r.Int64N(4_000_000_000), r.Int64N(1e9)).UTC()
}

func somebody(r *rand.Rand) identity.Person {
	return identity.Person{Tenant: one[identity.Tenant](r, "contoso", "a"), User: identity.User(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()))}
}

func line(r *rand.Rand) identity.Line {
	return identity.Line{System: one[identity.System](r, "hq", "branch-2"), Extension: one[identity.Extension](r, "100", "*97", "anna.b_c")}
}

func teamsWant(r *rand.Rand) wire.TeamsWant {
	return wire.TeamsWant{Person: somebody(r), Session: word(r), SessionUntil: moment(r), Preferred: word(r), PreferredUntil: moment(r),
		Disowned: flag(r), Reason: word(r), Revision: revision(r), Decision: word(r), SeenAt: moment(r), DecidedAt: moment(r), Release: flag(r)}
}

func want(r *rand.Rand) wire.Want {
	return wire.Want{Person: somebody(r), Line: line(r), Status: status(r), ProjectedFrom: status(r), Reason: word(r), DecidedOn: r.Int64(),
		LinkRevision: r.Uint64(), Revision: revision(r), Decision: word(r), SeenAt: moment(r), DecidedAt: moment(r), Release: flag(r)}
}

func TestThereAndBackIsTheSameMessageOnASubjectOfTheTopology(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			for seed := range uint64(300) {
				m := k.random(rand.New(rand.NewPCG(seed, 0)))
				subject, data := m.Encode()
				back, err := k.decode(data)
				if err != nil {
					t.Fatalf("%+v: %v", m, err)
				}
				if k.whole != nil {
					back = k.whole(back, m)
				}
				if !reflect.DeepEqual(back, m) {
					t.Fatalf("there  %+v\nback %+v", m, back)
				}
				if !slices.ContainsFunc(topology.Flows(), func(f topology.Flow) bool { return matches(topology.Wildcard(f.Subject), subject) }) {
					t.Fatalf("no flow has the subject %q", subject)
				}
			}
		})
	}
}

// matches compares a subject with a filter, as the broker does.
func matches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	return slices.EqualFunc(f, s, func(f, s string) bool { return f == s || f == "*" && s != "" })
}

func TestKeysThereAndBack(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		p, l := somebody(r), line(r)
		if back, err := wire.ParsePersonKey(wire.PersonKey(p)); err != nil || back != p {
			t.Errorf("%v: %v, %v", p, back, err)
		}
		if back, err := wire.ParseLineKey(wire.LineKey(l)); err != nil || back != l {
			t.Errorf("%v: %v, %v", l, back, err)
		}
	}
	for _, key := range []string{"", "contoso", "contoso.", "contoso.anna", "a.b.c", "hq.10 0", "_2.x", "contoso.00000000-0000-0000-0000-000000000000.x"} {
		if p, err := wire.ParsePersonKey(key); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q is the person %v, %v", key, p, err)
		}
		if l, err := wire.ParseLineKey(key); key != "contoso.anna" && (err == nil || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%q is the line %v, %v", key, l, err)
		}
	}
}

// The wire converts statuses and results by their numbers.
func TestTheNumbersOfTheWireAreThoseOfTheCore(t *testing.T) {
	slug := func(name, prefix string) string {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", "-")
	}
	for number, name := range eventv1.Status_name {
		if want := presence.Status(number).String(); number != 0 && slug(name, "STATUS_") != want {
			t.Errorf("status %d is %s on the wire and %q in the core", number, name, want)
		}
	}
	if len(eventv1.Status_name) != len(presence.Statuses())+1 {
		t.Errorf("%d statuses on the wire, %d in the core", len(eventv1.Status_name)-1, len(presence.Statuses()))
	}
	for number, name := range eventv1.Result_name {
		if want := wire.Result(number).String(); number != 0 && slug(name, "RESULT_") != want {
			t.Errorf("result %d is %s on the wire and %q here", number, name, want)
		}
	}
	if got := len(eventv1.Result_name); got != int(wire.Failed)+1 {
		t.Errorf("%d results on the wire, %d here", got, wire.Failed+1)
	}
	if got := wire.Result(200).String(); got != "unknown" {
		t.Errorf("a result that nobody knows is %q", got)
	}
}

// newer is a message with every enum set to a value of a later version, and a field
// that this build does not know.
func newer(t *testing.T, data []byte, m proto.Message) []byte {
	t.Helper()
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Kind() == protoreflect.EnumKind {
			r.Set(f, protoreflect.ValueOfEnum(99))
		}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(data, 0xfa, 0x3f, 0x01, 'x') // field 1023, one byte
}

func TestWhatALaterVersionSaysIsToleratedAndUnknown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	encoded := func(m wire.Message) []byte { _, data := m.Encode(); return data }
	st, err := wire.DecodeStatus(newer(t, encoded(wire.Status{Reading: presence.StatusReading{Line: line(r), Status: presence.DND, Origin: presence.Ours}}), new(eventv1.StatusFact)))
	if err != nil || st.Reading.Status != presence.Unset || st.Reading.Origin != "" {
		t.Errorf("status %+v, %v", st, err)
	}
	w, err := wire.DecodeWant(newer(t, encoded(want(r)), new(eventv1.StatusWant)))
	if err != nil || w.Status != presence.Unset || w.ProjectedFrom != presence.Unset {
		t.Errorf("want %+v, %v", w, err)
	}
	o, err := wire.DecodeOutcome(newer(t, encoded(wire.Outcome{ID: "1", Person: somebody(r), Line: line(r)}), new(eventv1.Outcome)))
	if err != nil || o.Result.String() != "unknown" || o.Status != presence.Unset {
		t.Errorf("outcome %+v, %v", o, err)
	}
	p, err := wire.DecodePresence(newer(t, encoded(wire.Presence{Person: somebody(r)}), new(eventv1.PresenceFact)))
	if err != nil || p.Reading.Source == presence.Notification {
		t.Errorf("presence %+v, %v", p, err)
	}
}

func TestTextFromOutsideThatIsNotUTF8IsCleaned(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	bad := "a\xffb"
	for _, m := range []wire.Message{
		wire.Presence{Person: somebody(r), Reading: presence.TeamsReading{Availability: bad, Activity: bad, Sequence: bad}},
		wire.User{Person: somebody(r), UPN: bad, Mail: bad, DisplayName: bad, GivenName: bad, Surname: bad, Type: bad},
		wire.Inventory{Line: line(r), Fields: directory.Fields{FirstName: bad, LastName: bad, Mail: bad}},
		wire.Outcome{ID: "1", Person: somebody(r), Line: line(r), Detail: bad},
		wire.Decision{Person: somebody(r), Claims: []wire.Claim{{Detail: bad}}, Evidence: []wire.Evidence{{Value: bad}}},
	} {
		if _, data := m.Encode(); !strings.Contains(string(data), "a\uFFFDb") {
			t.Errorf("%T: %q", m, data)
		}
	}
}

func TestWhatHasNoIdsIsInvalid(t *testing.T) {
	for _, k := range kinds() {
		for _, data := range [][]byte{nil, {}, []byte("\xff\xff"), []byte("hello"), {0x0a, 0x05, 'a'}} {
			if m, err := k.decode(data); err == nil || fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s of %q: %+v, %v", k.name, data, m, err)
			}
		}
	}
}

func TestWantsAreTheSameWheneverTheyWereDecided(t *testing.T) {
	base := want(rand.New(rand.NewPCG(3, 3)))
	for _, c := range []struct {
		name   string
		change func(*wire.Want)
		same   bool
	}{
		{"itself", func(*wire.Want) {}, true},
		{"decided later", func(w *wire.Want) { w.Revision.Sequence++; w.Decision += "x"; w.DecidedAt = w.DecidedAt.Add(1) }, true},
		{"for another reason", func(w *wire.Want) { w.Reason += "x" }, true},
		{"of another status", func(w *wire.Want) { w.Status++ }, false},
		{"decided on another choice", func(w *wire.Want) { w.DecidedOn++ }, false},
		{"a release", func(w *wire.Want) { w.Release = !w.Release }, false},
		{"of another link", func(w *wire.Want) { w.LinkRevision++ }, false},
		{"of another epoch", func(w *wire.Want) { w.Revision.Epoch++ }, false},
		{"of another person", func(w *wire.Want) { w.Person.Tenant += "x" }, false},
	} {
		other := base
		c.change(&other)
		if base.Same(other) != c.same || other.Same(base) != c.same {
			t.Errorf("%s: same %v, want %v", c.name, base.Same(other), c.same)
		}
	}
}

func TestTheLargestGroupFitsIntoAMessageOfTheBroker(t *testing.T) {
	const broker = 1 << 20 // NATS' default for the payload
	for users, most := range map[int]int{20_000: 321_000, graph.MaxGroupMembers: broker - 64<<10} {
		g := wire.Group{Tenant: "contoso", ID: "10000000-0000-4000-8000-000000000000", Name: strings.Repeat("n", 256)}
		for i := range users {
			g.Members = append(g.Members, identity.User(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)))
		}
		_, data := g.Encode()
		back, err := wire.DecodeGroup(data)
		if err != nil || len(data) > most || !reflect.DeepEqual(back, g) {
			t.Errorf("%d users are %d bytes; back come %d, %v", users, len(data), len(back.Members), err)
		}
	}
}

func TestMembersThatAreNoObjectIDsAreInvalid(t *testing.T) {
	_, data := wire.Group{Tenant: "contoso", ID: "10000000-0000-4000-8000-000000000000"}.Encode()
	cut, err := proto.Marshal(&eventv1.GroupFact{Members: make([]byte, 17)})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := wire.DecodeGroup(append(data, cut...)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a member and a byte became %+v, %v", g, err)
	}
}

// FuzzDecode: whatever comes is either one of ours, which survives there and back, or
// Invalid.
func FuzzDecode(f *testing.F) {
	for i, k := range kinds() {
		for seed := range uint64(3) {
			_, data := k.random(rand.New(rand.NewPCG(seed, 0))).Encode()
			f.Add(uint8(i), data)
		}
		f.Add(uint8(i), []byte{0x0a, 0x01})
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		k := kinds()[int(which)%len(kinds())]
		m, err := k.decode(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%s: %v is not invalid", k.name, err)
			}
			return
		}
		_, again := m.Encode()
		back, err := k.decode(again)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%s: %+v\nback %+v, %v", k.name, m, back, err)
		}
	})
}

// FuzzKeys: a key is a person's, a line's, or Invalid.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"contoso.00000000-0000-0000-0000-000000000000", "hq.100", "hq._2A97", "_", "a..b", "hq._"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if p, err := wire.ParsePersonKey(key); err == nil {
			if back, err := wire.ParsePersonKey(wire.PersonKey(p)); err != nil || back != p {
				t.Fatalf("%q: %v, %v", key, back, err)
			}
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		if l, err := wire.ParseLineKey(key); err == nil {
			if wire.LineKey(l) != key {
				t.Fatalf("%q has another spelling %q", key, wire.LineKey(l))
			}
		} else if fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
	})
}

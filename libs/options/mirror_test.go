package options_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

var (
	anna  = identity.Person{Tenant: "contoso", User: "00000000-0000-4000-8000-000000000001"}
	ben   = identity.Person{Tenant: "contoso", User: "00000000-0000-4000-8000-000000000002"}
	frida = identity.Person{Tenant: "fabrikam", User: "00000000-0000-4000-8000-000000000001"}

	contoso = options.Key{Layer: options.Tenant, Tenant: "contoso"}
)

func group(id string) options.Key {
	return options.Key{Layer: options.Group, Tenant: "contoso", ID: id}
}

// mirrored is a bucket with a mirror that follows it.
type mirrored struct {
	*options.Mirror
	bucket  *store.Bucket
	changes chan options.Key
}

func mirror(t *testing.T) mirrored {
	t.Helper()
	b := bustest.Connect(t, bustest.Broker(t), "test")
	bucket, err := store.Open(t.Context(), b.JetStream(), topology.Options)
	if err != nil {
		t.Fatal(err)
	}
	base := options.Base(map[identity.Tenant]presence.Options{"contoso": presence.DefaultOptions(), "fabrikam": presence.DefaultOptions()})
	m := mirrored{options.NewMirror(base, slog.New(slog.DiscardHandler)), bucket, make(chan options.Key, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, bucket, func(k options.Key) { m.changes <- k }) }()
	t.Cleanup(func() { cancel(); <-ended })
	if err := m.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// put stores a value and waits until the mirror has it.
func (m mirrored) put(t *testing.T, key options.Key, value []byte) {
	t.Helper()
	revision, err := m.bucket.Put(t.Context(), key.String(), value)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Until(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}

func (m mirrored) mode(who identity.Person) presence.Mode {
	o, _ := m.Of(who)
	return o.Mode
}

func TestEachLayerIsOverTheOneBeforeKeyByKey(t *testing.T) {
	m := mirror(t)
	m.SetMembers("contoso", "g1", []identity.User{anna.User})
	m.put(t, contoso, options.Record{Mode: "both", Base: "away", Combine: "strongest"}.Encode())
	m.put(t, group("g1"), options.Record{Base: "lunch", Combine: "teams-first", Damping: duration(0)}.Encode())
	m.put(t, options.UserKey(anna), options.Record{Combine: "strongest", StaleAfter: duration(time.Minute)}.Encode())
	o, chosen := m.Of(anna)
	if o.Mode != presence.Both || o.Base != presence.Lunch || o.Combine != presence.Strongest || o.Damping != 0 || o.StaleAfter != time.Minute || chosen != nil {
		t.Errorf("anna: %+v, %v", o, chosen)
	}
	if o, _ := m.Of(ben); o.Mode != presence.Both || o.Base != presence.Away || o.Damping != 5*time.Second {
		t.Errorf("ben, in no group: %+v", o)
	}
	if o, _ := m.Of(frida); o.Mode != presence.TeamsToPBX || o.Base != presence.Available {
		t.Errorf("frida, of another tenant, with the same object id: %+v", o)
	}
	gone := identity.Person{Tenant: "gone", User: anna.User}
	m.put(t, options.Key{Layer: options.Tenant, Tenant: "gone"}, options.Record{Mode: "both"}.Encode())
	m.put(t, options.UserKey(gone), options.Record{Chosen: &options.Chosen{Status: "dnd"}}.Encode())
	if o, chosen := m.Of(gone); o.Mode != presence.Disabled || chosen != nil || m.Effective(gone)[0].Value != "disabled" {
		t.Errorf("somebody of a tenant that is not configured, whatever was set for it: %+v, %v", o, chosen)
	}
	if got := m.Modes("contoso"); !slices.Equal(got, []presence.Mode{presence.Both}) {
		t.Errorf("modes: %v", got)
	}
}

func TestOfTwoGroupsTheLowerRankThenTheSmallerIDWins(t *testing.T) {
	for _, c := range []struct {
		name         string
		rankA, rankB int
		want         presence.Mode
	}{{"the same rank", 0, 0, presence.Both}, {"a lower", 1, 0, presence.Calendar}, {"a higher", 0, 1, presence.Both}, {"below none", 0, -1, presence.Calendar}} {
		t.Run(c.name, func(t *testing.T) {
			m := mirror(t)
			m.SetMembers("contoso", "b", []identity.User{anna.User})
			m.SetMembers("contoso", "a", []identity.User{anna.User})
			m.put(t, group("a"), options.Record{Mode: "both", Rank: c.rankA}.Encode())
			m.put(t, group("b"), options.Record{Mode: "calendar", Rank: c.rankB}.Encode())
			if got := m.mode(anna); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestMembersComeAndGoAndThoseAreSaid(t *testing.T) {
	m := mirror(t)
	m.put(t, group("g"), options.Record{Mode: "both"}.Encode())
	for _, c := range []struct {
		members []identity.User
		moved   []identity.Person
	}{
		{[]identity.User{anna.User, anna.User}, []identity.Person{anna}},
		{[]identity.User{anna.User}, nil},
		{[]identity.User{ben.User}, []identity.Person{anna, ben}},
		{nil, []identity.Person{ben}},
	} {
		moved := m.SetMembers("contoso", "g", c.members)
		slices.SortFunc(moved, func(a, b identity.Person) int { return strings.Compare(a.String(), b.String()) })
		if !slices.Equal(moved, c.moved) {
			t.Errorf("%v: moved %v, want %v", c.members, moved, c.moved)
		}
		for _, who := range []identity.Person{anna, ben, frida} {
			in := who.Tenant == "contoso" && slices.Contains(c.members, who.User)
			if (m.mode(who) == presence.Both) != in || m.Concerns(group("g"), who) != in {
				t.Errorf("%v: %s has %s, concerned: %v", c.members, who, m.mode(who), m.Concerns(group("g"), who))
			}
		}
	}
}

func TestAChangeConcernsThoseItIsAboutAndNobodyElse(t *testing.T) {
	m := mirror(t)
	for _, c := range []struct {
		key  options.Key
		want []identity.Person
	}{{contoso, []identity.Person{anna, ben}}, {options.UserKey(anna), []identity.Person{anna}}, {options.UserKey(frida), []identity.Person{frida}}, {group("none"), nil}} {
		var got []identity.Person
		for _, who := range []identity.Person{anna, ben, frida} {
			if m.Concerns(c.key, who) {
				got = append(got, who)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s concerns %v, want %v", c.key, got, c.want)
		}
	}
}

func TestWhatCannotBeReadChangesNothing(t *testing.T) {
	m := mirror(t)
	m.put(t, contoso, options.Record{Mode: "both", Base: "away"}.Encode())
	<-m.changes
	m.put(t, contoso, []byte(`{"mode":"calendar","colour":"red"}`)) // of a newer version
	if got := m.mode(anna); got != presence.Both || len(m.changes) != 0 {
		t.Errorf("an unknown member: %s, %d changes", got, len(m.changes))
	}
	m.put(t, contoso, []byte(`{"mode":"telepathy","base":"lunch"}`)) // a mode of a newer version
	if o, _ := m.Of(anna); o.Mode != presence.TeamsToPBX || o.Base != presence.Lunch {
		t.Errorf("an unknown mode leaves the one below: %+v", o)
	}
	if _, err := m.bucket.Put(t.Context(), "planet.mars", []byte(`{"mode":"calendar"}`)); err != nil {
		t.Fatal(err)
	}
	m.put(t, options.UserKey(anna), options.Record{Chosen: &options.Chosen{Status: "asleep"}}.Encode())
	if _, chosen := m.Of(anna); chosen != nil {
		t.Errorf("a status that there is not was chosen: %+v", chosen)
	}
	entry, err := m.bucket.Get(t.Context(), contoso.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.bucket.Delete(t.Context(), contoso.String(), entry.Revision); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 10*time.Second, func() string {
		if o, _ := m.Of(anna); o.Base != presence.Available {
			return "what is deleted is still in force"
		}
		return ""
	})
}

func TestAChoiceIsForALineOrForAll(t *testing.T) {
	m := mirror(t)
	at := time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)
	m.put(t, options.UserKey(anna), options.Record{Chosen: &options.Chosen{System: "hq", Extension: "204", Status: "dnd", At: at, Until: at.Add(time.Hour), By: "local"}}.Encode())
	m.put(t, options.UserKey(ben), options.Record{Chosen: &options.Chosen{At: at}}.Encode())
	if _, c := m.Of(anna); c == nil || *c != (presence.Chosen{Line: identity.Line{System: "hq", Extension: "204"}, Status: presence.DND, At: at, Until: at.Add(time.Hour), By: "local"}) {
		t.Errorf("anna's: %+v", c)
	}
	if _, c := m.Of(ben); c == nil || c.Status != presence.Unset || c.Line != (identity.Line{}) || !c.At.Equal(at) {
		t.Errorf("ben's withdrawal: %+v", c)
	}
}

func TestTheLongestPauseCounts(t *testing.T) {
	m := mirror(t)
	short, long := time.Date(2026, 6, 2, 10, 0, 0, 0, time.UTC), time.Date(2026, 6, 2, 11, 0, 0, 0, time.UTC)
	m.put(t, contoso, options.Record{PausedUntil: long}.Encode())
	m.put(t, options.UserKey(anna), options.Record{PausedUntil: short}.Encode())
	m.put(t, options.UserKey(ben), options.Record{PausedUntil: options.Forever}.Encode())
	for who, want := range map[identity.Person]time.Time{anna: long, ben: options.Forever, frida: {}} {
		if o, _ := m.Of(who); !o.PausedUntil.Equal(want) {
			t.Errorf("%s is paused until %v, want %v", who, o.PausedUntil, want)
		}
	}
}

func TestWhatIsInForceSaysWhereItComesFrom(t *testing.T) {
	m := mirror(t)
	m.SetMembers("contoso", "g1", []identity.User{anna.User})
	m.put(t, contoso, options.Record{Mode: "both", Base: "away", Teams: map[string]string{"Away": "release", "Busy": "away"}}.Encode())
	m.put(t, group("g1"), options.Record{Base: "lunch", Rank: 3, Teams: map[string]string{"away": "lunch"}, PausedUntil: options.Forever}.Encode())
	m.put(t, options.UserKey(anna), options.Record{Manual: options.Manual{Max: "05:00"}, Damping: duration(time.Minute), Combine: "of a newer version"}.Encode())
	var got []string
	for _, e := range m.Effective(anna) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", e.Key, e.Value, e.From, e.ID)))
	}
	want := []string{"mode=both tenant", "base=lunch group g1", "combine=teams-first configuration", "manual.policy=auto configuration", "manual.max=05:00 user",
		"manual.scope=extension configuration", "damping=1m user", "stale_after=15m configuration", "teams.away=lunch group g1", "teams.Busy=away tenant",
		"paused_until=9999-01-01T00:00:00Z group g1"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWaitingForWhatWasWrittenEndsWithItOrWithTheCaller(t *testing.T) {
	m := mirror(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Until(ctx, 1000) }()
	m.put(t, contoso, options.Record{Mode: "both"}.Encode()) // not yet
	select {
	case err := <-ended:
		t.Fatalf("it came before its time: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("it came although nothing was written")
	}
}

package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// changes reads "disable a; delete b at hq/1; update c name=x,mail=y".
func changes(s string) []plan.Change {
	var all []plan.Change
	for part := range strings.SplitSeq(s, "; ") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		c := plan.Change{Op: plan.Op(words[0]), Object: words[1]}
		for i := 2; i < len(words); i++ {
			if words[i] == "at" {
				i++
				c.Line = words[i]
				continue
			}
			for field := range strings.SplitSeq(words[i], ",") {
				name, to, _ := strings.Cut(field, "=")
				c.Fields = append(c.Fields, plan.FieldChange{Name: name, To: to})
			}
		}
		all = append(all, c)
	}
	return all
}

func words(all []plan.Change) string {
	var lines []string
	for _, c := range all {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "; ")
}

func TestPolicies(t *testing.T) {
	const all = "create a name=x; update b name=x; adopt c name=x; return d name=x,enabled=true; disable e enabled=false; delete f; skip g; conflict h"
	for _, c := range []struct {
		policy plan.Policy
		want   string
	}{
		{plan.Sync, `create a name ""->"x"; update b name ""->"x"; adopt c name ""->"x"; return d name ""->"x" enabled ""->"true"; disable e enabled ""->"false"; delete f; skip g; conflict h`},
		{"", `create a name ""->"x"; update b name ""->"x"; adopt c name ""->"x"; return d name ""->"x" enabled ""->"true"; disable e enabled ""->"false"; delete f; skip g; conflict h`},
		{plan.UpsertOnly, `create a name ""->"x"; update b name ""->"x"; adopt c name ""->"x"; return d name ""->"x" enabled ""->"true"; skip e (policy); skip f (policy); skip g; conflict h`},
		{plan.CreateOnly, `create a name ""->"x"; skip b (policy); adopt c; return d enabled ""->"true"; skip e (policy); skip f (policy); skip g; conflict h`},
		{plan.Off, `skip a (policy); skip b (policy); skip c (policy); skip d (policy); skip e (policy); skip f (policy); skip g; conflict h`},
	} {
		t.Run("under "+string(c.policy), func(t *testing.T) {
			given := changes(all)
			got := c.policy.Apply(given)
			if words(got) != c.want {
				t.Errorf("got  %s\nwant %s", words(got), c.want)
			}
			if words(given) != words(changes(all)) {
				t.Errorf("what was given changed: %s", words(given))
			}
			if again := c.policy.Apply(got); words(again) != words(got) {
				t.Errorf("twice is not once: %s", words(again))
			}
		})
	}
}

func TestParsePolicy(t *testing.T) {
	for _, s := range []string{"sync", "upsert-only", "create-only", "off"} {
		if p, err := plan.ParsePolicy(s); err != nil || string(p) != s {
			t.Errorf("%s: %s, %v", s, p, err)
		}
	}
	if p, err := plan.ParsePolicy(""); p != plan.Sync || err != nil {
		t.Errorf("nothing is %s, %v", p, err)
	}
	if _, err := plan.ParsePolicy("Sync"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

// removals are n objects that were removed some time ago.
func removals(n int, ago time.Duration) []plan.Removal {
	var all []plan.Removal
	for i := range n {
		all = append(all, plan.Removal{Key: fmt.Sprintf("old%d", i), At: noon.Add(-ago)})
	}
	return all
}

func TestBrake(t *testing.T) {
	usual := plan.Brake{Count: 3, Percent: 5}
	const three, four = "disable a; delete b; disable c", "disable a; delete b; disable c; delete d"
	for _, c := range []struct {
		name    string
		brake   plan.Brake
		planned string
		done    []plan.Removal
		linked  int
		force   bool
		tripped bool
		held    int
		removed int
	}{
		{"nothing is taken away", usual, "create a; update b; skip c; conflict d", nil, 0, false, false, 0, 0},
		{"as many as the count", usual, three, nil, 10, false, false, 0, 3},
		{"one more", usual, four, nil, 10, false, true, 4, 4},
		{"more than the count, as many as the percentage", usual, four, nil, 80, false, false, 0, 4},
		{"a hair more than the percentage", usual, four, nil, 79, false, true, 4, 4},
		{"earlier runs count", usual, "disable a", removals(3, 23*time.Hour), 10, false, true, 1, 4},
		{"not those of the day before", usual, "disable a", removals(3, 24*time.Hour), 10, false, false, 0, 1},
		{"what is dated in the future counts", usual, "disable a", removals(3, -time.Hour), 10, false, true, 1, 4},
		{"force lifts it", usual, four, nil, 10, true, false, 0, 4},
		{"one object listed twice is one", usual, "disable a; delete a; disable b; disable c", nil, 10, false, false, 0, 3},
		{"the same object at two places is two", usual, "disable a at hq/1; disable a at hq/2; disable b; disable c", nil, 10, false, true, 4, 4},
		{"what was counted before is not counted again", usual, "disable old0; disable a", removals(3, time.Hour), 10, false, true, 1, 4},
		{"and goes on", usual, "disable old0", removals(9, time.Hour), 10, false, false, 0, 9},
		{"the zero brake lets nothing be taken away", plan.Brake{}, "disable a", nil, 1000, false, true, 1, 1},
		{"a hundred percent lets everything", plan.Brake{Percent: 100}, four, nil, 4, false, false, 0, 4},
		{"nothing is linked", usual, four, nil, 0, false, true, 4, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := changes(c.planned)
			got, state := c.brake.Apply(given, c.done, noon, c.linked, c.force)
			if want := (plan.State{Tripped: c.tripped, Removed: c.removed, Linked: c.linked, Held: c.held, Forced: c.force}); state != want {
				t.Errorf("%+v, want %+v", state, want)
			}
			held := 0
			for i, g := range got {
				if g.Held {
					held++
				}
				if g.Held && !g.Op.Removes() {
					t.Errorf("%s is held", g)
				}
				if g.Held = false; g.String() != given[i].String() {
					t.Errorf("%s became %s", given[i], g)
				}
			}
			if held != c.held {
				t.Errorf("%d are held, want %d: %s", held, c.held, words(got))
			}
		})
	}
}

func TestTheStrictestBrake(t *testing.T) {
	if got := plan.Strictest(plan.Brake{Count: 3, Percent: 50}, plan.Brake{Count: 9, Percent: 5}); got != (plan.Brake{Count: 3, Percent: 5}) {
		t.Errorf("%+v", got)
	}
}

func seed(t *testing.T) uint64 {
	if s := os.Getenv("OFFHOOK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("OFFHOOK_SEED=%d", n)
		}
	})
	return n
}

// run plans for random removals every hour for some days and returns the most objects
// that went within any 24 hours, and the most that a brake may let go.
func run(r *rand.Rand, decide func(planned string, done []plan.Removal, now time.Time, linked int) []plan.Change) (most, allowed int) {
	linked := 1 + r.IntN(200)
	var done []plan.Removal
	for hour := range 24 * 5 {
		now := noon.Add(time.Duration(hour) * time.Hour)
		var planned []string
		for i := range r.IntN(4) {
			planned = append(planned, fmt.Sprintf("disable u%d-%d", hour, i))
		}
		for _, c := range decide(strings.Join(planned, "; "), done, now, linked) {
			if !c.Held {
				done = append(done, plan.Removal{Key: c.Key(), At: now})
			}
		}
		most = max(most, len(plan.Recent(done, now)))
	}
	return most, max(3, linked*5/100)
}

func TestManySmallRunsDoNotCreepPastTheBrake(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	tripped := 0
	for range 100 {
		most, allowed := run(r, func(planned string, done []plan.Removal, now time.Time, linked int) []plan.Change {
			marked, state := plan.Brake{Count: 3, Percent: 5}.Apply(changes(planned), done, now, linked, false)
			if state.Tripped {
				tripped++
			}
			return marked
		})
		if most > allowed {
			t.Fatalf("%d went within a day, %d may", most, allowed)
		}
	}
	if tripped == 0 {
		t.Error("the brake never tripped")
	}
}

// A brake that looks at one run alone does not hold: the judge must say so.
func TestABrakeWithoutMemoryIsCaught(t *testing.T) {
	most, allowed := run(rand.New(rand.NewPCG(1, 0)), func(planned string, _ []plan.Removal, now time.Time, linked int) []plan.Change {
		marked, _ := plan.Brake{Count: 3, Percent: 5}.Apply(changes(planned), nil, now, linked, false)
		return marked
	})
	if most <= allowed {
		t.Errorf("%d went within a day, %d may", most, allowed)
	}
}

func TestDigest(t *testing.T) {
	const base = "create a at hq/1 name=x,mail=y; disable b at hq/2"
	of := func(all []plan.Change) string { return plan.Digest(slices.Values(all)) }
	same := func(name string, all []plan.Change) {
		if of(all) != of(changes(base)) {
			t.Errorf("%s changes the digest", name)
		}
	}
	for _, other := range []string{
		"", "create a at hq/1 name=x,mail=y", "create a at hq/3 name=x,mail=y; disable b at hq/2",
		"create a at hq/1 name=x,mail=z; disable b at hq/2", "create a at hq/1 name=x; disable b at hq/2",
		"delete b at hq/2; create a at hq/1 name=x,mail=y", "create a at hq/1 name=x,mail=y; disable b",
		"create a at hq/1 name=x,mail=y; disable b at hq/2; disable b at hq/2",
	} {
		if of(changes(other)) == of(changes(base)) {
			t.Errorf("%q has the digest of %q", other, base)
		}
	}
	held := changes(base)
	held[1].Held = true
	if of(held) == of(changes(base)) {
		t.Error("what is held back does not change the digest")
	}
	same("the order of changes", changes("disable b at hq/2; create a at hq/1 name=x,mail=y"))
	same("the order of fields", changes("create a at hq/1 mail=y,name=x; disable b at hq/2"))
	same("what does nothing", changes(base+"; skip c; conflict d"))
	told := changes(base)
	told[0].Reason, told[0].Detail, told[0].Name = "new", "words", "Anna"
	same("what is said to people", told)
}

func TestAStalePlanIsRefused(t *testing.T) {
	p := plan.Plan{ID: "p1", Expires: noon, Digest: "d"}
	for _, c := range []struct {
		name, now string
		at        time.Time
		kind      fault.Kind
	}{
		{"in time and the same", "d", noon.Add(-1), fault.Unknown},
		{"expired", "d", noon, fault.Stale},
		{"something else now", "e", noon.Add(-1), fault.Stale},
	} {
		err := p.Check(c.at, c.now)
		if (err == nil) != (c.kind == fault.Unknown) || err != nil && fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAPlanReadsAsDocumented(t *testing.T) {
	p := plan.Plan{ID: "p1", Basis: map[string]uint64{"links": 7}, Expires: noon, Digest: "d",
		Changes: []plan.Change{{Op: plan.Update, Object: "contoso/1", Line: "hq/204", Name: "anna@x", Fields: []plan.FieldChange{{Name: "mail", To: "anna@x"}}, Reason: "differs"}}}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"p1","basis":{"links":7},"expires":"2026-03-02T12:00:00Z","changes":[{"op":"update","object":"contoso/1","line":"hq/204","name":"anna@x","fields":[{"name":"mail","from":"","to":"anna@x"}],"reason":"differs"}],"brake":{"tripped":false,"removed":0,"linked":0,"held":0},"digest":"d"}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if counts := plan.Counts(changes("create a; create b; skip c")); counts[plan.Create] != 2 || counts[plan.Skip] != 1 {
		t.Errorf("%v", counts)
	}
}

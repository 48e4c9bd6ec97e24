package directory_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/directorytest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// seed returns the seed of a random test: OFFHOOK_SEED, else a new one. It is
// printed with every failure.
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

// actions are what is done for a plan, one after the other; a process can be killed
// between any two of them.
func actions(r *directory.Result) []func(*directorytest.World) {
	var all []func(*directorytest.World)
	for _, n := range r.Notes {
		all = append(all, func(w *directorytest.World) { w.Store(n.Record, false) })
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Held || !s.Op.Acts() {
			continue
		}
		if record, ok := s.Record(); ok {
			all = append(all, func(w *directorytest.World) { w.Store(record, false) })
		}
		if s.Writes() {
			effect := directorytest.Effect{Op: s.Op, Person: s.Person, Number: s.Line.Extension, Update: s.Update(), Key: s.Change().Key()}
			all = append(all, func(w *directorytest.World) { w.Do(effect) })
		}
	}
	for _, n := range r.Forgets {
		all = append(all, func(w *directorytest.World) { w.Store(n.Record, true) })
	}
	return all
}

func planned(t *testing.T, w *directorytest.World) directory.Result {
	t.Helper()
	r, err := directory.PlanExtensions(w.See())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rest plans and does what is planned until nothing is left to do, and returns what was.
func rest(t *testing.T, w *directorytest.World) (history []string) {
	t.Helper()
	for range 8 {
		r := planned(t, w)
		all := actions(&r)
		if len(all) == 0 {
			return history
		}
		history = append(history, words(r))
		for _, do := range all {
			do(w)
		}
	}
	t.Fatalf("there is no end of it:\n%s", strings.Join(history, "\n"))
	return nil
}

// told is a world in words, for comparison and for people.
func told(w *directorytest.World) string {
	var lines []string
	for _, e := range w.Extensions {
		lines = append(lines, fmt.Sprintf("extension %+v", *e))
	}
	for _, r := range w.Records {
		lines = append(lines, fmt.Sprintf("record %s %s %s left %v enabled %t", r.Person, r.Line.Extension, r.How, r.Left, r.WasEnabled))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func describe(w *directorytest.World) string {
	var lines []string
	for _, u := range w.Users {
		text, _ := json.Marshal(u)
		lines = append(lines, "user "+string(text))
	}
	slices.Sort(lines)
	return fmt.Sprintf("now %s, markers %t, seats %d, queues %v, refused %v, explicit %v, rules %+v %+v\n%s\n%s", w.Now, w.Markers, w.Seats, w.Queues, w.Refused, w.Explicit,
		*w.Rules["contoso"], *w.Rules["fabrikam"], strings.Join(lines, "\n"), told(w))
}

// live plays worlds in which something happens, and lets check look at each before
// Offhook does anything. check returns the world after.
func live(t *testing.T, worlds, rounds int, check func(r *rand.Rand, w *directorytest.World, what string) *directorytest.World) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range worlds {
		w := directorytest.Begin(r)
		what := "begin"
		for range rounds {
			w = check(r, w, what)
			var all []string
			for range r.IntN(4) {
				all = append(all, w.Happen(r))
			}
			what = strings.Join(all, ", ")
		}
	}
}

func TestWhatIsPlannedIsWhatShouldBe(t *testing.T) {
	steps, kinds := 0, map[plan.Op]int{}
	live(t, 700, 14, func(r *rand.Rand, before *directorytest.World, what string) *directorytest.World {
		after := before.Clone()
		first := planned(t, after)
		for _, s := range first.Steps {
			kinds[s.Op]++
		}
		history := rest(t, after)
		steps += len(history)
		if found := directorytest.Judge(before, after); len(found) > 0 {
			t.Fatalf("%s\n%s\n\nplanned\n%s\n\nthen\n%s\n\n%s", what, describe(before), strings.Join(history, "\n"), told(after), strings.Join(found, "\n"))
		}
		return after
	})
	for _, op := range []plan.Op{plan.Create, plan.Update, plan.Adopt, plan.Disable, plan.Delete, plan.Return, plan.Skip, plan.Conflict} {
		if kinds[op] < 20 {
			t.Errorf("only %d changes were %s: %v", kinds[op], op, kinds)
		}
	}
	t.Logf("%d plans that did something, %v", steps, kinds)
}

func TestTheOrderOfWhatIsSeenDoesNotMatter(t *testing.T) {
	live(t, 150, 12, func(r *rand.Rand, w *directorytest.World, what string) *directorytest.World {
		first := planned(t, w)
		other := w.Clone()
		r.Shuffle(len(other.Users), func(i, j int) { other.Users[i], other.Users[j] = other.Users[j], other.Users[i] })
		r.Shuffle(len(other.Extensions), func(i, j int) { other.Extensions[i], other.Extensions[j] = other.Extensions[j], other.Extensions[i] })
		r.Shuffle(len(other.Records), func(i, j int) { other.Records[i], other.Records[j] = other.Records[j], other.Records[i] })
		r.Shuffle(len(other.Explicit), func(i, j int) { other.Explicit[i], other.Explicit[j] = other.Explicit[j], other.Explicit[i] })
		again := planned(t, other)
		if words(first) != words(again) || !reflect.DeepEqual(first.Problems, again.Problems) || first.Brake != again.Brake {
			t.Fatalf("%s\n%s\nplanned %s\nin another order %s", what, describe(w), words(first), words(again))
		}
		rest(t, w)
		return w
	})
}

func TestAPlanChangesNothingThatItLooksAt(t *testing.T) {
	live(t, 50, 8, func(_ *rand.Rand, w *directorytest.World, what string) *directorytest.World {
		v := w.See()
		was := (&directorytest.World{View: v}).Clone()
		r, err := directory.PlanExtensions(v)
		if err != nil {
			t.Fatal(err)
		}
		actions(&r)
		if now := (&directorytest.World{View: v}).Clone(); !reflect.DeepEqual(was, now) {
			t.Fatalf("%s: %s", what, words(r))
		}
		rest(t, w)
		return w
	})
}

// A run is killed after each of its actions, also between what is stored and what is
// done, and the next one ends where it would have. Only of those who wait until others
// make room it is not said which number they get, since who goes first may change.
func TestARunThatIsKilledAnywhereEndsTheSame(t *testing.T) {
	kills := 0
	live(t, 150, 8, func(_ *rand.Rand, before *directorytest.World, what string) *directorytest.World {
		after := before.Clone()
		rest(t, after)
		r := planned(t, before.Clone())
		waits := slices.ContainsFunc(r.Steps, func(s directory.Step) bool {
			return s.Reason == directory.LicenceFull || s.Reason == directory.NumbersFull
		})
		all := actions(&r)
		for n := range all {
			killed := before.Clone()
			for _, do := range all[:n] {
				do(killed)
			}
			rest(t, killed)
			kills++
			if found := directorytest.Judge(before, killed); len(found) > 0 {
				t.Fatalf("%s\n%s\nplanned %s\nkilled after %d of %d actions:\n%s\n%s", what, describe(before), words(r), n, len(all), told(killed), strings.Join(found, "\n"))
			}
			if !waits && told(killed) != told(after) {
				t.Fatalf("%s\n%s\nplanned %s\nkilled after %d of %d actions:\n%s\ninstead of\n%s", what, describe(before), words(r), n, len(all), told(killed), told(after))
			}
		}
		return after
	})
	if kills < 1_000 {
		t.Errorf("only %d kills", kills)
	}
}

// Everything is done twice, late actions after newer ones as well as they may be.
func TestActionsThatAreRepeatedChangeNothing(t *testing.T) {
	live(t, 150, 8, func(_ *rand.Rand, before *directorytest.World, what string) *directorytest.World {
		once, twice := before.Clone(), before.Clone()
		r := planned(t, before.Clone())
		for _, do := range actions(&r) {
			do(once)
			do(twice)
			do(twice)
		}
		if told(once) != told(twice) {
			t.Fatalf("%s\n%s\nplanned %s\n%s\ninstead of\n%s", what, describe(before), words(r), told(twice), told(once))
		}
		rest(t, once)
		return once
	})
}

// While a plan is carried out somebody makes extensions by hand and queues, which the
// plan knows nothing of.
func TestNoNumberIsTwiceWhateverHappensMeanwhile(t *testing.T) {
	refused := 0
	live(t, 300, 10, func(r *rand.Rand, w *directorytest.World, what string) *directorytest.World {
		strangers := map[string]directory.Extension{}
		for range 3 {
			p := planned(t, w)
			for _, do := range actions(&p) {
				if r.IntN(3) == 0 {
					e := directory.Extension{Number: identity.Extension(strconv.Itoa(200 + r.IntN(20))), Enabled: true, Fields: directory.Fields{FirstName: "Late"}}
					if w.At(e.Number) == nil && !slices.Contains(w.Queues, e.Number) {
						w.Extensions = append(w.Extensions, &e)
						ours := slices.ContainsFunc(w.Records, func(r *directory.Record) bool { return r.Line.Extension == e.Number && r.How != directory.Reserved })
						if !ours && !slices.ContainsFunc(w.Explicit, func(x directory.Explicit) bool { return x.Number == e.Number }) {
							strangers[string(e.Number)] = e
						}
					}
				}
				do(w)
			}
		}
		refused += len(w.Refused)
		rest(t, w)
		owners := map[string]string{}
		for _, r := range w.Records {
			number := string(r.Line.Extension)
			if other, ok := owners[number]; ok {
				t.Fatalf("%s: %s and %s both have %s", what, other, r.Person, number)
			}
			owners[number] = r.Person.String()
		}
		for number, was := range strangers {
			if now := w.At(was.Number); now == nil || *now != was {
				t.Fatalf("%s: the stranger's %s became %+v\n%s", what, number, now, describe(w))
			}
		}
		return w
	})
	if refused < 100 {
		t.Errorf("only %d numbers were refused", refused)
	}
}

func TestTheBrakeHolds(t *testing.T) {
	tripped := 0
	live(t, 300, 12, func(r *rand.Rand, before *directorytest.World, what string) *directorytest.World {
		before.Brake = plan.Brake{Count: 1, Percent: 25}
		before.Seats = 0
		today := len(plan.Recent(before.Removed, before.Now))
		after := before.Clone()
		linked := 0
		for _, rec := range before.Records {
			if rec.How != directory.Reserved {
				linked++
			}
		}
		p := planned(t, after)
		acts := 0
		for _, s := range p.Steps {
			if s.Op.Removes() && s.Held {
				acts++
			} else if s.Held {
				t.Fatalf("%s is held", s.Change())
			}
		}
		for _, do := range actions(&p) {
			do(after)
		}
		if p.Brake.Tripped {
			tripped++
		}
		if gone := directorytest.Removed(before, after); gone > 0 && today+gone > directorytest.Allowed(before.Brake, linked) && len(plan.Recent(after.Removed, after.Now)) > max(today, directorytest.Allowed(before.Brake, linked)) {
			t.Fatalf("%s\n%s\nplanned %s\n%d went and %d before them today, of %d", what, describe(before), words(p), gone, today, linked)
		}
		return after
	})
	if tripped < 50 {
		t.Errorf("it tripped %d times", tripped)
	}
}

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

// planner is PlanExtensions, or one with a fault.
type planner func(directory.View) (directory.Result, error)

// checker looks at a world to which something has happened, lets a planner act on it and
// returns what is wrong, or "" and the world after.
type checker func(r *rand.Rand, p planner, before *directorytest.World) (after *directorytest.World, wrong string)

// live plays worlds in which something happens until something is wrong, and returns that.
func live(r *rand.Rand, p planner, check checker, worlds, rounds int) string {
	for range worlds {
		w := directorytest.Begin(r)
		what := "begin"
		for range rounds {
			before := w.Clone()
			after, wrong := check(r, p, w)
			if wrong != "" {
				return fmt.Sprintf("%s\n%s\n%s", what, describe(before), wrong)
			}
			w = after
			var all []string
			for range r.IntN(4) {
				all = append(all, w.Happen(r))
			}
			what = strings.Join(all, ", ")
		}
	}
	return ""
}

func random(t *testing.T) *rand.Rand { return rand.New(rand.NewPCG(seed(t), 0)) }

// holds plays worlds in which nothing may be wrong.
func holds(t *testing.T, check checker, worlds, rounds int) {
	t.Helper()
	if wrong := live(random(t), directory.PlanExtensions, check, worlds, rounds); wrong != "" {
		t.Fatal(wrong)
	}
}

type action func(*directorytest.World)

// actions are what is done for a plan, one after the other; a process can be killed
// between any two of them.
func actions(r *directory.Result) []action {
	var all []action
	for _, n := range r.Notes {
		all = append(all, func(w *directorytest.World) { w.Store(n.Record(), false) })
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
		if record, ok := s.Sent(); ok {
			all = append(all, func(w *directorytest.World) { w.Store(record, false) })
		}
	}
	for _, n := range r.Forgets {
		all = append(all, func(w *directorytest.World) { w.Store(n.Record(), true) })
	}
	return all
}

// rest plans and does what is planned until nothing is left to do, and returns what was.
func rest(p planner, w *directorytest.World) (history string, wrong string) {
	for range 8 {
		r, err := p(w.See())
		if err != nil {
			return history, err.Error()
		}
		all := actions(&r)
		if len(all) == 0 {
			return history, ""
		}
		history += words(r) + "\n"
		for _, do := range all {
			do(w)
		}
	}
	return history, "there is no end of it:\n" + history
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

// right: what is planned and done is what should be, and then nothing is left to do.
func right(_ *rand.Rand, p planner, before *directorytest.World) (*directorytest.World, string) {
	after := before.Clone()
	history, wrong := rest(p, after)
	if found := directorytest.Judge(before, after); wrong == "" && len(found) > 0 {
		wrong = fmt.Sprintf("planned\n%s\nthen\n%s\n\n%s", history, told(after), strings.Join(found, "\n"))
	}
	return after, wrong
}

func TestWhatIsPlannedIsWhatShouldBe(t *testing.T) {
	kinds := map[plan.Op]int{}
	counting := func(v directory.View) (directory.Result, error) {
		r, err := directory.PlanExtensions(v)
		for _, s := range r.Steps {
			kinds[s.Op]++
		}
		return r, err
	}
	if wrong := live(random(t), counting, right, 700, 14); wrong != "" {
		t.Fatal(wrong)
	}
	for _, op := range []plan.Op{plan.Create, plan.Update, plan.Adopt, plan.Disable, plan.Delete, plan.Return, plan.Skip, plan.Conflict} {
		if kinds[op] < 50 {
			t.Errorf("only %d changes were %s: %v", kinds[op], op, kinds)
		}
	}
}

// anyOrder: what is planned does not depend on the order in which things are listed.
func anyOrder(r *rand.Rand, p planner, w *directorytest.World) (*directorytest.World, string) {
	other := w.Clone()
	r.Shuffle(len(other.Users), func(i, j int) { other.Users[i], other.Users[j] = other.Users[j], other.Users[i] })
	r.Shuffle(len(other.Extensions), func(i, j int) { other.Extensions[i], other.Extensions[j] = other.Extensions[j], other.Extensions[i] })
	r.Shuffle(len(other.Records), func(i, j int) { other.Records[i], other.Records[j] = other.Records[j], other.Records[i] })
	r.Shuffle(len(other.Explicit), func(i, j int) { other.Explicit[i], other.Explicit[j] = other.Explicit[j], other.Explicit[i] })
	first, err1 := p(w.See())
	again, err2 := p(other.See())
	if err1 != nil || err2 != nil || words(first) != words(again) || !reflect.DeepEqual(first.Problems, again.Problems) || first.Brake != again.Brake {
		return nil, fmt.Sprintf("planned %s, %v\nin another order %s, %v", words(first), err1, words(again), err2)
	}
	_, wrong := rest(p, w)
	return w, wrong
}

func TestTheOrderOfWhatIsSeenDoesNotMatter(t *testing.T) { holds(t, anyOrder, 150, 12) }

// untouched: a plan changes nothing that it looks at.
func untouched(_ *rand.Rand, p planner, w *directorytest.World) (*directorytest.World, string) {
	v := w.See()
	was := (&directorytest.World{View: v}).Clone()
	r, err := p(v)
	actions(&r)
	if now := (&directorytest.World{View: v}).Clone(); err != nil || !reflect.DeepEqual(was, now) {
		return nil, fmt.Sprintf("planning changed the view: %s, %v", words(r), err)
	}
	_, wrong := rest(p, w)
	return w, wrong
}

func TestAPlanChangesNothingThatItLooksAt(t *testing.T) { holds(t, untouched, 50, 8) }

// killed: a run is killed after each of its actions, also between what is stored and what
// is done, and the next one ends where it would have. Only of those who wait until others
// make room it is not said which number they get, since who goes first may change.
func killed(act func(*directory.Result) []action) checker {
	return func(_ *rand.Rand, p planner, before *directorytest.World) (*directorytest.World, string) {
		after := before.Clone()
		rest(p, after)
		r, err := p(before.See())
		if err != nil {
			return nil, err.Error()
		}
		waits := slices.ContainsFunc(r.Steps, func(s directory.Step) bool {
			return s.Reason == directory.LicenceFull || s.Reason == directory.NumbersFull
		})
		all := act(&r)
		for n := range all {
			cut := before.Clone()
			for _, do := range all[:n] {
				do(cut)
			}
			_, wrong := rest(p, cut)
			found := directorytest.Judge(before, cut)
			if wrong != "" || len(found) > 0 || !waits && told(cut) != told(after) {
				return nil, fmt.Sprintf("planned %s\nkilled after %d of %d actions:\n%s\ninstead of\n%s\n%s\n%s", words(r), n, len(all), told(cut), told(after), strings.Join(found, "\n"), wrong)
			}
		}
		return after, ""
	}
}

func TestARunThatIsKilledAnywhereEndsTheSame(t *testing.T) { holds(t, killed(actions), 150, 8) }

// repeated: what is done twice is done once.
func repeated(act func(*directory.Result) []action) checker {
	return func(_ *rand.Rand, p planner, before *directorytest.World) (*directorytest.World, string) {
		once, twice := before.Clone(), before.Clone()
		r, err := p(before.See())
		if err != nil {
			return nil, err.Error()
		}
		for _, do := range act(&r) {
			do(once)
			do(twice)
			do(twice)
		}
		if told(once) != told(twice) {
			return nil, fmt.Sprintf("planned %s\ntwice\n%s\nonce\n%s", words(r), told(twice), told(once))
		}
		_, wrong := rest(p, once)
		return once, wrong
	}
}

func TestActionsThatAreRepeatedChangeNothing(t *testing.T) { holds(t, repeated(actions), 150, 8) }

// meanwhile: while plans are carried out somebody makes extensions by hand, which the
// plans know nothing of. They stay as they are, and no number is anybody's twice.
func meanwhile(r *rand.Rand, p planner, w *directorytest.World) (*directorytest.World, string) {
	strangers := map[identity.Extension]directory.Extension{}
	for range 3 {
		result, err := p(w.See())
		if err != nil {
			return nil, err.Error()
		}
		for _, do := range actions(&result) {
			e := directory.Extension{Number: identity.Extension(strconv.Itoa(200 + r.IntN(20))), Enabled: true, Fields: directory.Fields{FirstName: "Late"}}
			if r.IntN(3) == 0 && w.At(e.Number) == nil && !slices.Contains(w.Queues, e.Number) {
				w.Extensions = append(w.Extensions, &e)
				ours := slices.ContainsFunc(w.Records, func(r *directory.Record) bool { return r.Line.Extension == e.Number && r.How != directory.Reserved })
				if !ours && !slices.ContainsFunc(w.Explicit, func(x directory.Explicit) bool { return x.Number == e.Number }) {
					strangers[e.Number] = e
				}
			}
			do(w)
		}
	}
	if _, wrong := rest(p, w); wrong != "" {
		return nil, wrong
	}
	owners := map[identity.Extension]identity.Person{}
	for _, r := range w.Records {
		if other, ok := owners[r.Line.Extension]; ok {
			return nil, fmt.Sprintf("%s and %s both have %s", other, r.Person, r.Line)
		}
		owners[r.Line.Extension] = r.Person
	}
	for number, was := range strangers {
		if now := w.At(number); now == nil || *now != was {
			return nil, fmt.Sprintf("the stranger's %s became %+v\n%s", number, now, describe(w))
		}
	}
	return w, ""
}

func TestNoNumberIsTwiceWhateverHappensMeanwhile(t *testing.T) { holds(t, meanwhile, 300, 10) }

// braked: no more goes within a day than the brake allows, and only what goes is held.
func braked(_ *rand.Rand, p planner, before *directorytest.World) (*directorytest.World, string) {
	before.Brake, before.Seats = plan.Brake{Count: 1, Percent: 25}, 0
	after := before.Clone()
	linked := 0
	for _, r := range before.Records {
		if r.How != directory.Reserved {
			linked++
		}
	}
	r, err := p(after.See())
	if err != nil {
		return nil, err.Error()
	}
	for _, s := range r.Steps {
		if s.Held && !s.Op.Removes() {
			return nil, s.Change().String() + " is held"
		}
	}
	for _, do := range actions(&r) {
		do(after)
	}
	today, gone := len(plan.Recent(before.Removed, before.Now)), directorytest.Removed(before, after)
	allowed := directorytest.Allowed(before.Brake, linked)
	if now := len(plan.Recent(after.Removed, after.Now)); gone > 0 && now > today && now > allowed {
		return nil, fmt.Sprintf("planned %s\n%d went after %d before them within a day, of %d", words(r), gone, today, linked)
	}
	return after, ""
}

func TestTheBrakeHolds(t *testing.T) {
	tripped := 0
	counting := func(v directory.View) (directory.Result, error) {
		r, err := directory.PlanExtensions(v)
		if r.Brake.Tripped {
			tripped++
		}
		return r, err
	}
	if wrong := live(random(t), counting, braked, 300, 12); wrong != "" {
		t.Fatal(wrong)
	}
	if tripped < 50 {
		t.Errorf("it tripped %d times", tripped)
	}
}

package coverage_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
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

func TestEachLawCanBeBroken(t *testing.T) {
	for _, c := range []struct{ current, lanes, users, next, want string }{
		{"", "A1 B1", "ann", "A=ann", "lane B is missing"},
		{"", "A1", "ann bob", "A=ann,bob", "lane A has 2 users"},
		{"", "A2", "ann bob", "A=bob,ann", "lane A is not sorted"},
		{"", "A1", "ann", "A=ann B=", "lanes that do not exist"},
		{"", "A0", "ann bob", "A= out=bob,ann", "those left out are not sorted"},
		{"", "A2", "ann bob", "A=ann out=bob", "though there is room"},
		{"", "A2", "ann", "A=ann,zoe", "who does not exist"},
		{"", "A1 B1", "ann", "A=ann B=ann", "ann is listed 2 times"},
		{"", "A1", "ann bob", "A=ann", "bob is listed 0 times"},
		{"A=ann B=", "A1 B1", "ann", "A= B=ann", "ann moved from A to B"},
		{"A=ann", "A1!", "ann", "A= out=ann", "ann lost a place on the failing lane A"},
		{"", "A1!", "ann", "A=ann", "ann was put on the failing lane A"},
		{"A=ann", "A1", "ann bob:1", "A=ann out=bob", "bob is left out for ann"},
		{"A=ann", "A1", "ann*10 bob*31", "A=ann out=bob", "bob is left out for ann"},
		{"A=ann,bob", "A2", "ann*5 bob*6 cid:1", "A=ann,cid out=bob", "bob had to go before the weaker ann"},
		{"", "A1", "ann*5 bob*6", "A=ann out=bob", "bob waits while the weaker ann came in"},
	} {
		if found := broken(assignment(c.current), lanes(c.lanes), users(c.users), assignment(c.next)); !strings.Contains(strings.Join(found, "; "), c.want) {
			t.Errorf("%q, lanes %q, users %q to %q: found %q, not %q", c.current, c.lanes, c.users, c.next, found, c.want)
		}
	}
}

// tenant is what is planned, and changes.
type tenant struct {
	r       *rand.Rand
	lanes   []coverage.Lane
	users   []coverage.User
	made    int
	current coverage.Assignment
}

func (w *tenant) join() {
	w.made++
	w.users = append(w.users, coverage.User{ID: identity.User(fmt.Sprintf("u%d", w.made)), Priority: w.r.IntN(3), Activity: w.r.Uint32N(60)})
}

func (w *tenant) addLane(most int) {
	w.made++
	w.lanes = append(w.lanes, coverage.Lane{ID: coverage.LaneID(fmt.Sprintf("L%d", w.made)), Capacity: w.r.IntN(most + 1), Usable: true})
}

// happens lets one thing happen and says what, and how many lanes may change by it.
func (w *tenant) happens(most int) (what string, bound int) {
	user, lane := -1, -1
	if len(w.users) > 0 {
		user = w.r.IntN(len(w.users))
	}
	if len(w.lanes) > 0 {
		lane = w.r.IntN(len(w.lanes))
	}
	switch n := w.r.IntN(12); {
	case n < 4 || user < 0:
		w.join()
		return "a user joins", 1
	case n < 6:
		w.users = slices.Delete(w.users, user, user+1)
		return "a user leaves", 1
	case n < 8:
		w.users[user].Activity = w.r.Uint32N(60)
		return "a user changes more or less", 1
	case n == 8:
		w.users[user].Priority = w.r.IntN(3)
		return "a user's priority changes", 1
	case n == 9 || lane < 0:
		w.addLane(most)
		return "a lane is added", 1
	case n == 10:
		if w.lanes[lane].Usable = !w.lanes[lane].Usable; w.lanes[lane].Usable {
			return "a lane recovers", 1
		}
		return "a lane fails", 0
	}
	w.lanes = slices.Delete(w.lanes, lane, lane+1)
	return "a lane is removed", len(w.lanes) + 1
}

func (w *tenant) String() string {
	return fmt.Sprintf("lanes %+v\nusers %+v\ncurrent %s", w.lanes, w.users, words(w.current))
}

// plan plans and checks all but minimality.
func (w *tenant) plan(t *testing.T, what string, bound int) {
	t.Helper()
	next, err := coverage.Plan(w.current, w.lanes, w.users)
	if err != nil {
		t.Fatalf("%s\n%s\n%v", what, w, err)
	}
	if found := broken(w.current, w.lanes, w.users, next); len(found) > 0 {
		t.Fatalf("%s\n%s\nplanned %s\n%s", what, w, words(next), strings.Join(found, "\n"))
	}
	if changed := w.current.Changed(next); len(changed) > bound {
		t.Fatalf("%s\n%s\nplanned %s\n%v changed, %d may", what, w, words(next), changed, bound)
	}
	if again, err := coverage.Plan(next, w.lanes, w.users); err != nil || !reflect.DeepEqual(again, next) {
		t.Fatalf("%s\n%s\nplanned %s\nand again %s, %v", what, w, words(next), words(again), err)
	}
	lanes, users := slices.Clone(w.lanes), slices.Clone(w.users)
	w.r.Shuffle(len(lanes), func(i, j int) { lanes[i], lanes[j] = lanes[j], lanes[i] })
	w.r.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	if other, err := coverage.Plan(w.current, lanes, users); err != nil || !reflect.DeepEqual(other, next) {
		t.Fatalf("%s\n%s\nplanned %s\nin another order %s, %v", what, w, words(next), words(other), err)
	}
	w.current = next
}

func TestOneChangeChangesOneLaneAtMost(t *testing.T) {
	w := tenant{r: rand.New(rand.NewPCG(seed(t), 0))}
	for n := range 20_000 {
		if n%200 == 0 {
			w = tenant{r: w.r}
		}
		what, bound := w.happens(6)
		w.plan(t, what, bound)
	}
}

func TestManyChangesChangeNoMoreLanesThanThereAreChanges(t *testing.T) {
	w := tenant{r: rand.New(rand.NewPCG(seed(t), 0))}
	for n := range 5_000 {
		if n%100 == 0 {
			w = tenant{r: w.r}
			for range 1 + w.r.IntN(12) {
				w.addLane(8)
			}
		}
		sum, all := 0, []string{}
		for range 1 + w.r.IntN(8) {
			what, bound := w.happens(8)
			sum, all = sum+bound, append(all, what)
		}
		w.plan(t, strings.Join(all, ", "), sum)
	}
}

func TestActivityThatGoesUpAndDownMovesNobody(t *testing.T) {
	w := tenant{r: rand.New(rand.NewPCG(seed(t), 0))}
	for range 300 {
		w = tenant{r: w.r}
		for range 3 {
			w.addLane(10)
		}
		for range 40 {
			w.join()
		}
		for i := range w.users {
			w.users[i].Activity = 20 + w.r.Uint32N(11)
		}
		w.plan(t, "all join", 3)
		for range 20 {
			for i := range w.users { // 20 to 50: nobody has more than twice and ten of anybody
				w.users[i].Activity = 20 + w.r.Uint32N(31)
			}
			w.plan(t, "activity goes up and down", 0)
		}
	}
}

func TestNoPlanChangesLess(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	cases := 0
	for range 3_000 {
		w := tenant{r: r}
		for range 1 + r.IntN(3) {
			w.addLane(3)
		}
		for range r.IntN(6) {
			w.join()
			w.users[len(w.users)-1].Activity = r.Uint32N(3) * 12 // so that many have the same right
		}
		// Any assignment to begin with, of users and lanes that are and that are not.
		w.current = coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
		for _, u := range append(slices.Clone(w.users), users("x y")...) {
			if n := r.IntN(len(w.lanes) + 2); n < len(w.lanes) {
				id := w.lanes[n].ID
				w.current.Lanes[id] = append(w.current.Lanes[id], u.ID)
			}
		}
		for i := range w.lanes {
			w.lanes[i].Usable = r.IntN(4) > 0
			slices.Sort(w.current.Lanes[w.lanes[i].ID])
		}
		next, err := coverage.Plan(w.current, w.lanes, w.users)
		if err != nil {
			t.Fatal(err)
		}
		best, found := cheapest(w.current, w.lanes, w.users)
		if !found {
			t.Fatalf("%s\nno assignment keeps the laws; planned %s", &w, words(next))
		}
		if got := costOf(w.current, w.lanes, w.users, next); got != best || len(broken(w.current, w.lanes, w.users, next)) > 0 {
			t.Fatalf("%s\nplanned %s, which costs %+v, not %+v\n%s", &w, words(next), got, best, strings.Join(broken(w.current, w.lanes, w.users, next), "\n"))
		}
		if best.lanes > 0 {
			cases++
		}
	}
	if cases < 1_000 {
		t.Errorf("only %d cases changed a lane", cases)
	}
}

// A planner that does not mind lanes is legal and not minimal: the search must say so.
func TestTheSearchFindsWhatChangesLess(t *testing.T) {
	current, l, u := assignment("A=ann B=bob,cid"), lanes("A1 B2"), users("ann bob cid dan:1 eve:1")
	careless := assignment("A=dan B=cid,eve out=ann,bob")
	if found := broken(current, l, u, careless); len(found) > 0 {
		t.Fatal(found)
	}
	best, _ := cheapest(current, l, u)
	if got := costOf(current, l, u, careless); got.lanes != 2 || best.lanes != 1 || got.displaced != best.displaced {
		t.Errorf("careless %+v, best %+v", got, best)
	}
}

package coverage_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Scenes are written in words: "A2 B2!" are lanes of two places each, B failing;
// "ann:1 bob bea*30" are users, ann of priority 1 and bea with 30 changes a day;
// "A=ann,bob B= out=bea" is an assignment.

func lanes(s string) []coverage.Lane {
	var all []coverage.Lane
	for _, word := range strings.Fields(s) {
		l := coverage.Lane{Usable: !strings.HasSuffix(word, "!")}
		fmt.Sscanf(word[1:], "%d", &l.Capacity)
		l.ID = coverage.LaneID(word[:1])
		all = append(all, l)
	}
	return all
}

func users(s string) []coverage.User {
	var all []coverage.User
	for _, word := range strings.Fields(s) {
		var u coverage.User
		word, activity, _ := strings.Cut(word, "*")
		name, priority, _ := strings.Cut(word, ":")
		fmt.Sscan(activity, &u.Activity)
		fmt.Sscan(priority, &u.Priority)
		u.ID = identity.User(name)
		all = append(all, u)
	}
	return all
}

func assignment(s string) coverage.Assignment {
	a := coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
	for _, word := range strings.Fields(s) {
		lane, list, _ := strings.Cut(word, "=")
		names := []identity.User{}
		for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
			names = append(names, identity.User(name))
		}
		if lane == "out" {
			a.LeftOut = names
			continue
		}
		a.Lanes[coverage.LaneID(lane)] = names
	}
	return a
}

func words(a coverage.Assignment) string {
	join := func(users []identity.User) string { return strings.Trim(fmt.Sprint(users), "[]") }
	var all []string
	for id, users := range a.Lanes {
		all = append(all, string(id)+"="+strings.ReplaceAll(join(users), " ", ","))
	}
	slices.Sort(all)
	if len(a.LeftOut) > 0 {
		all = append(all, "out="+strings.ReplaceAll(join(a.LeftOut), " ", ","))
	}
	return strings.Join(all, " ")
}

func TestPlan(t *testing.T) {
	for _, c := range []struct{ scene, current, lanes, users, want string }{
		{"nothing", "", "", "", ""},
		{"without lanes everybody is swept only", "", "", "bob ann", "out=ann,bob"},
		{"there is room for all", "", "A2", "bob ann", "A=ann,bob"},
		{"the configured priority counts before activity", "", "A1", "ann*900 bob:1", "A=bob out=ann"},
		{"then who changes most", "", "A1", "ann*1 bob*2", "A=bob out=ann"},
		{"a negative priority comes last", "", "A1", "ann:-1*900 bob", "A=bob out=ann"},
		{"who joins finds the free place, and nobody else moves", "A=ann B=bob", "A2 B1", "ann bob cid", "A=ann,cid B=bob"},
		{"those who join share a lane", "A=ann B=bob", "A3 B4", "ann bob cid dot eve", "A=ann B=bob,cid,dot,eve"},
		{"and take the places that were given up before others", "A=ann,gus B=bob", "A2 B4", "ann bob cid", "A=ann,cid B=bob"},
		{"who leaves makes room for the strongest who is left out", "A=ann,bob out=cid,dot", "A2", "ann cid dot:1", "A=ann,dot out=cid"},
		{"an agent displaces the weakest", "A=ann,bob B=cid,dot", "A2 B2", "ann bob*5 cid*5 dot:1 eve:2", "A=bob,eve B=cid,dot out=ann"},
		{"someone who changes clearly more displaces", "A=ann", "A1", "ann*10 bob*31", "A=bob out=ann"},
		{"someone who changes hardly more does not", "A=ann", "A1", "ann*10 bob*30", "A=ann out=bob"},
		{"a lane is gone: its users go where there is room", "A=ann B=bob,cid", "A2", "ann bob cid*1", "A=ann,cid out=bob"},
		{"a lane is new: nobody moves there who has a place", "A=ann,bob out=cid", "A2 B2", "ann bob cid", "A=ann,bob B=cid"},
		{"a failing lane keeps its users", "A=ann B=bob", "A1 B2!", "ann bob", "A=ann B=bob"},
		{"and gets no new ones", "A=ann B=bob", "A1 B2!", "ann bob cid:9", "A=cid B=bob out=ann"},
		{"not even at the start", "", "A2!", "ann", "A= out=ann"},
		{"and its users do not take places of others", "A=ann B=bob", "A1 B1!", "ann bob:9", "A=ann B=bob"},
		{"it recovers: who waited with more right gets in", "A=ann B=bob out=cid", "A1 B1", "ann:9 bob cid:9", "A=ann B=cid out=bob"},
		{"a lane that became smaller keeps its strongest", "A=ann,bob,cid", "A2", "ann bob:1 cid*3", "A=bob,cid out=ann"},
		{"who was cut goes where there is room", "A=ann,bob B=cid", "A1 B2", "ann bob cid", "A=ann B=bob,cid"},
		{"a lane of no places", "A=ann", "A0", "ann", "A= out=ann"},
		{"unknown users are dropped", "A=ann,zoe,bob out=kim", "A3", "ann bob", "A=ann,bob"},
		{"who is on two lanes stays on the one that works", "A=ann,bob B=ann", "A2! B2", "ann bob", "A=bob B=ann"},
		{"who is twice on a lane is there once", "A=ann,ann,ann", "A2", "ann", "A=ann"},
		{"those of equal right give way where a lane changes anyway", "A=ann,zoe B=bob,cid", "A2 B2", "ann bob cid dan:1 eve:1", "A=dan,eve B=bob,cid out=ann"},
		{"or where most of them are", "A=ann B=bob,cid", "A1 B2", "ann bob cid dan:1 eve:1", "A=ann B=dan,eve out=bob,cid"},
	} {
		t.Run(c.scene, func(t *testing.T) {
			got, err := coverage.Plan(assignment(c.current), lanes(c.lanes), users(c.users))
			if err != nil {
				t.Fatal(err)
			}
			if words(got) != c.want {
				t.Errorf("%s, lanes %s, users %s\n  gives %s\nwanted %s", c.current, c.lanes, c.users, words(got), c.want)
			}
		})
	}
}

func TestALaneHas650UsersAtMost(t *testing.T) {
	var many []coverage.User
	current := coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
	for i := range 700 {
		many = append(many, coverage.User{ID: identity.User(fmt.Sprintf("u%03d", i)), Activity: uint32(i)})
		current.Lanes["A"] = append(current.Lanes["A"], many[i].ID)
	}
	got, err := coverage.Plan(current, []coverage.Lane{{ID: "A", Capacity: coverage.MaxUsers, Usable: true}}, many)
	if err != nil || len(got.Lanes["A"]) != 650 || got.Lanes["A"][0] != "u050" || len(got.LeftOut) != 50 {
		t.Errorf("%d users from %s, %d left out, %v", len(got.Lanes["A"]), got.Lanes["A"][0], len(got.LeftOut), err)
	}
}

func TestPlanRefusesAndNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		lanes []coverage.Lane
		users []coverage.User
		want  []string
	}{
		{[]coverage.Lane{{ID: "A", Capacity: 651}}, nil, []string{`lane "A": capacity 651 is not 0 to 650`}},
		{[]coverage.Lane{{ID: "A", Capacity: -1}}, nil, []string{`lane "A": capacity -1`}},
		{lanes("A1 B1 A2"), nil, []string{`lane "A" is listed twice`}},
		{[]coverage.Lane{{Capacity: 1}}, nil, []string{"a lane has no id"}},
		{nil, users("ann bob ann:1"), []string{`user "ann" is listed twice`}},
		{nil, []coverage.User{{}}, []string{"a user has no id"}},
		{lanes("A1 A1"), users("bob bob"), []string{`lane "A" is listed twice`, `user "bob" is listed twice`}},
	} {
		got, err := coverage.Plan(coverage.Assignment{}, c.lanes, c.users)
		if fault.KindOf(err) != fault.Invalid || !reflect.DeepEqual(got, coverage.Assignment{}) {
			t.Errorf("%v %v: %v, %v", c.lanes, c.users, got, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %q", err, want)
			}
		}
	}
}

func TestChanged(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "", "[]"},
		{"A=ann B=bob", "A=ann B=bob", "[]"},
		{"A=ann B=bob C=", "A=ann,cid B=bob C=cid", "[A C]"},
		{"A=ann", "B=", "[A]"},
		{"", "A=ann B=", "[A]"},
		{"A=ann out=bob", "A=ann out=cid", "[]"},
	} {
		if got := fmt.Sprint(assignment(c.before).Changed(assignment(c.after))); got != c.want {
			t.Errorf("%s to %s: %s, wanted %s", c.before, c.after, got, c.want)
		}
	}
}

func TestAnAssignmentIsStoredAsJSON(t *testing.T) {
	before := assignment("A=ann,bob B= out=cid")
	text, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after coverage.Assignment
	if err := json.Unmarshal(text, &after); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%s: %v, %v", text, after, err)
	}
}

package topology_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/topology"
)

// problems lists what is wrong with a set of flows; the table itself must have none.
func problems(flows []topology.Flow) []string {
	var found []string
	say := func(f topology.Flow, what string) { found = append(found, f.Subject+": "+what) }
	for _, f := range flows {
		verb := strings.Split(f.Subject, ".")[0]
		if len(f.Produce) == 0 && verb != "fire" { // fires are made by the broker out of timers
			say(f, "nobody produces it")
		}
		if len(f.Consume) == 0 && verb != "timer" {
			say(f, "nobody consumes it")
		}
		both := slices.ContainsFunc(f.Produce, func(s topology.Service) bool { return slices.Contains(f.Consume, s) })
		if both != f.OwnQueue {
			say(f, "a service consumes what it produces, or its own queue is not one")
		}
		if isWant(f.Subject) || verb == "order" {
			if len(f.Consume) != 1 {
				say(f, "a want or order has exactly one consumer")
				continue
			}
			for _, g := range flows {
				if slices.Contains(g.Produce, f.Consume[0]) && isCause(g.Subject) && !(verb == "order" && isWant(g.Subject)) {
					say(f, "its consumer makes "+g.Subject+" although wants lead to outcomes and facts only, and orders to wants besides")
				}
			}
		}
	}
	return found
}

// isCause says whether a message makes somebody do something.
func isCause(subject string) bool {
	return isWant(subject) || strings.HasPrefix(subject, "order.") || strings.Contains(subject, ".hint.")
}

// isWant says whether a message is a want. An order may lead to one: to apply a plan is
// to want what it says. It ends there, since a want leads to nothing of the kind.
func isWant(subject string) bool { return strings.Contains(subject, ".want.") }

func TestTheTableKeepsTheDesignsRules(t *testing.T) {
	if found := problems(topology.Flows()); len(found) > 0 {
		t.Fatal(strings.Join(found, "\n"))
	}
}

func TestEachRuleOfTheTableCanFail(t *testing.T) {
	w, m, p := topology.PBXWriter, topology.PresenceMapper, topology.GraphPoller
	cases := []struct {
		name string
		flow topology.Flow
		want string
	}{
		{"a subject without a producer", topology.Flow{Subject: "pbx.fact.call.<system>.<ext>", Consume: []topology.Service{m}}, "nobody produces"},
		{"a subject without a consumer", topology.Flow{Subject: "pbx.fact.call.<system>.<ext>", Produce: []topology.Service{w}}, "nobody consumes"},
		{"a service that consumes its own", topology.Flow{Subject: "pbx.fact.call.<system>.<ext>", Produce: []topology.Service{w}, Consume: []topology.Service{w}}, "consumes what it produces"},
		{"a want with two consumers", topology.Flow{Subject: "pbx.want.call.<system>.<ext>", Produce: []topology.Service{m}, Consume: []topology.Service{w, topology.UserSync}}, "exactly one consumer"},
		{"a want whose consumer makes wants", topology.Flow{Subject: "m365.want.presence.<tenant>.<user>", Produce: []topology.Service{w}, Consume: []topology.Service{m}}, "outcomes and facts only"},
		{"an order with two consumers", topology.Flow{Subject: "order.mail.<tenant>.<id>", Produce: []topology.Service{topology.ControlAPI}, Consume: []topology.Service{w, p}}, "exactly one consumer"},
		{"an order whose consumer makes hints", topology.Flow{Subject: "order.mail.<tenant>.<id>", Produce: []topology.Service{topology.ControlAPI}, Consume: []topology.Service{topology.WebhookReceiver}}, "outcomes and facts only"},
		{"an order that leads to an order", topology.Flow{Subject: "order.mail.<tenant>.<id>", Produce: []topology.Service{p}, Consume: []topology.Service{w}}, "outcomes and facts only"},
	}
	for _, c := range cases {
		found := strings.Join(problems(append(topology.Flows(), c.flow)), "\n")
		if !strings.Contains(found, c.want) {
			t.Errorf("%s is not found; found %q", c.name, found)
		}
	}
}

func TestEveryStreamAndBucketIsUsedAndHasOneWriter(t *testing.T) {
	for _, s := range topology.Streams() {
		if len(topology.SubjectsOf(s.Name)) == 0 {
			t.Errorf("stream %s keeps nothing", s.Name)
		}
	}
	for _, b := range topology.Buckets() {
		if len(b.Writes) != 1 && b.Name != topology.Leases {
			t.Errorf("bucket %s has %d writers", b.Name, len(b.Writes))
		}
	}
	known := map[topology.Service]bool{}
	for _, s := range topology.Services() {
		known[s.Name] = true
	}
	for _, f := range topology.Flows() {
		for _, s := range slices.Concat(f.Produce, f.Consume) {
			if !known[s] {
				t.Errorf("%s names the unknown service %q", f.Subject, s)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	cases := []struct{ id, token string }{
		{"contoso", "contoso"},
		{"anna@contoso.example", "anna_40contoso_2Eexample"},
		{"*78", "_2A78"},
		{"", "_"},
		{"_", "_5F"},
		{"Zoë", "Zo_C3_AB"},
		{">", "_3E"},
	}
	for _, c := range cases {
		if got := topology.Token(c.id); got != c.token {
			t.Errorf("Token(%q) = %q, want %q", c.id, got, c.token)
		}
		if back, err := topology.Untoken(c.token); err != nil || back != c.id {
			t.Errorf("Untoken(%q) = %q, %v, want %q", c.token, back, err, c.id)
		}
	}
	for _, bad := range []string{"", "a.b", "_4", "_4g", "_61", "a b", "_c3"} {
		if id, err := topology.Untoken(bad); err == nil {
			t.Errorf("Untoken(%q) = %q, want an error", bad, id)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "_", "a.b*c>", "anna@contoso.example", "\x00\xff", "_41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		token := topology.Token(id)
		if token == "" || strings.ContainsAny(token, ".*> \t\r\n") {
			t.Fatalf("Token(%q) = %q is no token", id, token)
		}
		if back, err := topology.Untoken(token); err != nil || back != id {
			t.Fatalf("%q became %q and then %q, %v", id, token, back, err)
		}
		if back, err := topology.Untoken(id); err == nil && topology.Token(back) != id {
			t.Fatalf("%q and %q are both the token of %q", id, topology.Token(back), back)
		}
		parts, err := topology.Split(topology.Join(id, "x", id))
		if err != nil || fmt.Sprint(parts) != fmt.Sprint([]string{id, "x", id}) {
			t.Fatalf("Split(Join) = %q, %v", parts, err)
		}
	})
}

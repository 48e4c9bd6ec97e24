package usersync

import (
	"os"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// chapter is something that happens, and what comes of it.
type chapter struct {
	happens func(*town)
	change  func(*Rules) // before, and the service is started anew; nil: it stays
	ordered bool         // nothing is done but by orders
	phones  string       // what the phone system has then
	people  string       // and what is stored of whom
}

// history is a directory that is read for the first time, and then every day another one:
// people are new, were there before, are renamed, leave, come back, and are away for too long.
var history = []chapter{
	{
		happens: func(c *town) {
			c.phones.set(byHand("100", "Reception"))
			c.phones.listed()
			c.publish(named(1, "Anna"), named(2, "Ben"))
		},
		phones: "100 Reception; 200 Anna 1; 201 Ben 2",
		people: "1: created 200, linked 200; 2: created 201, linked 201",
	},
	{
		happens: func(c *town) {
			emil := byHand("211", "Emil")
			emil.LastName = "M."
			c.phones.set(byHand("210", "Dora"))
			c.phones.set(emil)
			c.publish(named(4, "Dora"), named(5, "Emil"))
		},
		phones: "100 Reception; 200 Anna 1; 201 Ben 2; 210 Dora 4; 211 Emil 5",
		people: "1: created 200, linked 200; 2: created 201, linked 201; 4: adopted 210, linked 210; 5: adopted 211, linked 211",
	},
	{
		happens: func(c *town) {
			hanna, ben := named(1, "Hanna"), named(2, "Ben")
			hanna.Photo, ben.Enabled = "etag", false
			c.publish(hanna, ben, named(3, "Carl"), wire.Photo{Person: person(1), ETag: "etag", MIME: "image/jpeg", Image: []byte("\xff\xd8")})
		},
		phones: "100 Reception; 200 Hanna 1; 201 Ben 2 off; 202 Carl 3; 210 Dora 4; 211 Emil 5",
		people: "1: created 200 etag, linked 200; 2: created 201 left, had 201; 3: created 202, linked 202; 4: adopted 210, linked 210; 5: adopted 211, linked 211",
	},
	{
		happens: func(c *town) {
			c.phones.remove("211")
			c.publish(wire.User{Person: person(4), Gone: true})
		},
		phones: "100 Reception; 200 Hanna 1; 201 Ben 2 off; 202 Carl 3; 210 Dora 4 off; 211 Emil 5",
		people: "1: created 200 etag, linked 200; 2: created 201 left, had 201; 3: created 202, linked 202; 4: adopted 210 left, had 210; 5: adopted 211, linked 211",
	},
	{
		happens: func(c *town) { c.publish(named(2, "Ben")) },
		change:  func(r *Rules) { r.Policy = string(plan.Off) },
		ordered: true,
		phones:  "100 Reception; 200 Hanna 1; 201 Ben 2; 202 Carl 3; 210 Dora 4 off; 211 Emil 5",
		people:  "1: created 200 etag, linked 200; 2: created 201, linked 201; 3: created 202, linked 202; 4: adopted 210 left, had 210; 5: adopted 211, linked 211",
	},
	{
		happens: func(*town) {},
		change:  func(r *Rules) { r.Policy, r.Hold = string(plan.Sync), time.Millisecond },
		phones:  "100 Reception; 200 Hanna 1; 201 Ben 2; 202 Carl 3; 211 Emil 5",
		people:  "1: created 200 etag, linked 200; 2: created 201, linked 201; 3: created 202, linked 202; 4: had 210; 5: adopted 211, linked 211",
	},
}

// byHand is an extension as a person made it, with all that Microsoft 365 says of the user
// of this name.
func byHand(number identity.Extension, first string) directory.Extension {
	return directory.Extension{Number: number, Enabled: true, Fields: directory.Fields{FirstName: first, LastName: "Moreau", Mail: strings.ToLower(first) + "@x", Department: group}}
}

// effects are all that others see of the service.
var effects = []string{"note", "record", "want", "sent", "forget", "link", "removal", "picture", "album", "part", "plan", "tell"}

// The service dies before and after each thing that others can see, and goes on: in each
// chapter at the first of them, then at the second, and so on. What it wanted by then is
// done while it is dead, or waits until it is back, by turns.
func TestItDiesAtEveryStepAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	calm := newTown(t, false)
	calm.lives(never)
	if got, want := calm.ops(), "200 create update; 201 create disable return; 202 create; 210 adopt disable delete; 211 adopt create"; got != want {
		t.Errorf("without a death it wanted %q, want %q", got, want)
	}
	deaths := map[string]bool{}
	dying := func(away bool, next func() death) (died []string) {
		c := newTown(t, away)
		died = c.lives(next)
		for _, effect := range died {
			deaths[effect] = true
		}
		if got, want := c.contents(), calm.contents(); got != want {
			t.Errorf("dying %v it wanted\n%s\ninstead of\n%s", died, got, want)
		}
		return died
	}
	n := 1
	for len(dying(n/2%2 == 0, atThe(n))) > 0 && !t.Failed() {
		n += stride()
	}
	for _, effect := range effects {
		for _, at := range []string{"before " + effect, "after " + effect} {
			if !deaths[at] { // it does not do everything in the same order each time
				dying(true, at1st(at))
			}
			if !deaths[at] {
				t.Errorf("it never died %s", at)
			}
		}
	}
	t.Logf("there is no effect %d in any chapter, before and after each counted", n)
}

// stride leaves effects out where each costs a second and more; OFFHOOK_DEATHS=all leaves
// none out. It is odd, so that deaths before and after are hit alike.
func stride() int {
	if os.Getenv("OFFHOOK_DEATHS") == "all" {
		return 1
	}
	return 5
}

// death is asked before and after each effect whether the service dies.
type death func(effect string) bool

func never() death { return func(string) bool { return false } }

// atThe is death at the n-th effect, counted from 1 before and after each.
func atThe(n int) func() death {
	return func() death {
		seen := 0
		return func(string) bool { seen++; return seen == n }
	}
}

// at1st is death at an effect with a name.
func at1st(name string) func() death {
	return func() death { return func(effect string) bool { return effect == name } }
}

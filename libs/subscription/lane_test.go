package subscription

import (
	"testing"

	"offhook.dev/libs/core/identity"
)

func TestALaneIsFoundByItsUsers(t *testing.T) {
	const anna, ben = identity.User("00000000-0000-0000-0000-000000000001"), identity.User("00000000-0000-0000-0000-000000000002")
	on := func(l *Lanes, user identity.User, want string) {
		t.Helper()
		if got := l.On(identity.Person{Tenant: "contoso", User: user}); got != want {
			t.Errorf("%s is on %q, not %q", user, got, want)
		}
	}
	var l Lanes
	on(&l, anna, "")
	l.set("contoso", "first", []identity.User{anna, ben})
	on(&l, anna, "first")
	// Ben moves, and the lane that he comes to is heard of first.
	l.set("contoso", "second", []identity.User{ben})
	l.set("contoso", "first", []identity.User{anna})
	on(&l, ben, "second")
	on(&l, anna, "first")
	l.set("contoso", "first", nil)
	on(&l, anna, "")
	if got := l.Of("contoso", "second"); len(got) != 1 || got[0] != ben {
		t.Errorf("on the second lane are %v", got)
	}
	if l.On(identity.Person{Tenant: "fabrikam", User: ben}) != "" {
		t.Error("a lane of another tenant")
	}
}

func TestLaneKeysThereAndBack(t *testing.T) {
	tenant, account, err := ParseLaneKey(LaneKey("contoso", "anna.m@contoso"))
	if err != nil || tenant != "contoso" || account != "anna.m@contoso" {
		t.Errorf("%s %s %v", tenant, account, err)
	}
	if _, _, err := ParseLaneKey("contoso"); err == nil {
		t.Error("a key without an account")
	}
}

package e2e

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/services/e2e/world"
)

// The phone system says 200 to what it has not done, with an error inside of the answer.
// Whoever that happens to has their extension a little later, once and under their own
// name; everybody else, and every status, goes on.
func TestASuccessWithAnErrorInsideKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	const users, had, hit = 40, 2, 12
	w := world.New(t, world.Options{Users: users, Extensions: had, Sync: `{policy: sync, start_extension: "200", photos: false}`})
	w.PBX.Inject(pbxsim.Fault{Kind: pbxsim.ErrorInside, Only: "write", Times: hit})
	w.Start()
	w.Settled(had)
	w.Set("anna", "Busy", "InAMeeting")
	w.Shows(world.Extension(0), presence.DND, 60*time.Second)

	everyone := w.Tenant.Users("", users)
	w.Eventually(3*time.Minute, func() string {
		has := map[string]identity.Extension{}
		for _, e := range w.PBX.Truth() {
			if other, twice := has[line(e.Extension)]; twice {
				t.Fatalf("%s and %s are both of %s", other, e.Number, line(e.Extension))
			}
			has[line(e.Extension)] = e.Number
		}
		for _, u := range everyone {
			number, there := has[u.GivenName+" "+u.Surname+" "+u.Mail]
			if !there {
				return fmt.Sprintf("%s has no extension among %s", u.Mail, everybody(w))
			}
			if marks := w.PBX.Properties(number); len(marks) != 1 {
				return fmt.Sprintf("%s of %s is marked as %v", number, u.Mail, marks)
			}
		}
		return ""
	})
	if is := len(w.PBX.Truth()); is != users {
		t.Errorf("%d extensions for %d users: %s", is, users, everybody(w))
	}
	if left := w.PBX.Faults(); len(left) > 0 {
		t.Errorf("of %d writes that were to be answered so, some never came: %+v", hit, left)
	}
}

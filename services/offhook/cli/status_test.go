package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/apitest"
)

// Anna is on a lane and Clara, who has two phones, is on none; both were swept just now.
// Of Ben Teams never said anything, and the other Anna's tenant was not swept at all.
func TestStatusNamesWhoIsLeftOut(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		swept := s.Bus.Now().Add(time.Hour) // or a slow machine makes everybody stale
		clara := apitest.Change{Who: apitest.Clara, Line: apitest.Line("hq", "102"), N: 1, At: swept, Teams: "Available/Available"}
		s.Publish(t, clara.Messages()[0], wire.Sweep{Tenant: "contoso", Shard: wire.ShardAll, Began: swept, Ended: swept, Users: 4, OK: true})
		bucket, err := store.Open(t.Context(), s.Bus.JetStream(), topology.Lanes)
		must(t, err)
		_, err = bucket.Put(t.Context(), subscription.LaneKey("contoso", "zoe@contoso.example"), []byte(`{"users":["`+string(apitest.Anna.User)+`"]}`))
		must(t, err)
	})
	const anna, ben, clara, branch, anne = "100@hq", "101@hq", "102@hq", "7102@branch", "100@branch"
	for _, c := range []struct{ claim, flags, names string }{
		{"everybody, where nobody asks for less", "", branch + " " + anna + " " + ben + " " + clara + " " + anne},
		{"who is older than three sweeps", "--stale", ben + " " + anne},
		{"of a tenant", "--stale --tenant contoso", ben},
		{"who is on no lane", "--lane none", branch + " " + ben + " " + clara + " " + anne},
		{"who is on that of an account, however it is spelt", "--lane Zoe@Contoso.example", anna},
		{"who is on no lane and was not swept either", "--lane none --stale --tenant fabrikam", anne},
		{"nobody on the lane of an account that has none", "--lane anna", ""},
	} {
		t.Run(c.claim, func(t *testing.T) {
			bustest.Eventually(t, 10*time.Second, func() string { // who is on a lane is heard of a moment later
				stdout, stderr, code := command(t, "offhook status --api "+stage.URL+" "+c.flags)
				if got := named(stdout); got != c.names || code != 0 {
					return fmt.Sprintf("named: %s, want %s (exit %d)\n%s%s", got, c.names, code, stdout, stderr)
				}
				return ""
			})
		})
	}
}

// named lists the extensions in a table, in its order.
func named(table string) string {
	var all []string
	for _, word := range strings.Fields(table) {
		if strings.Contains(word, "@") {
			all = append(all, word)
		}
	}
	return strings.Join(all, " ")
}

package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// stale lists who is named, by their extensions.
func stale(t *testing.T, s *apitest.Stage, query string) string {
	t.Helper()
	code, found := get[[]api.Status](t, s.URL+"/api/v1/status?stale=true"+query)
	if code != 200 {
		t.Fatalf("status %d", code)
	}
	var lines []string
	for _, each := range found {
		lines = append(lines, each.Extension+"@"+each.System)
	}
	return strings.Join(lines, " ")
}

func TestWhoeversTeamsValueIsOlderThanThreeSweepsIsNamedAndCounted(t *testing.T) {
	s := scene(t)
	const everybody = "7102@branch 100@hq 101@hq 102@hq 100@branch"
	if got := stale(t, s, ""); got != everybody {
		t.Errorf("half an hour after the last sweep: %s", got)
	}
	read := func(who identity.Person) {
		t.Helper()
		s.Publish(t, wire.Presence{Person: who, Reading: presence.TeamsReading{Availability: "Available", Activity: "Available", SeenAt: s.Bus.Now(), Source: presence.Notification}})
	}
	names := func(query, want string) {
		t.Helper()
		bustest.Eventually(t, 10*time.Second, func() string {
			if got := stale(t, s, query); got != want {
				return fmt.Sprintf("named: %s, want %s", got, want)
			}
			return ""
		})
	}
	sweep := func(failed ...identity.User) {
		t.Helper()
		now := s.Bus.Now()
		s.Publish(t, wire.Sweep{Tenant: "contoso", Shard: wire.ShardAll, Began: now, Ended: now, Users: 4, OK: true, Failed: failed})
	}
	sweep(apitest.Ben.User)
	names("", "7102@branch 101@hq 102@hq 100@branch") // anna is confirmed; the others never were, or were read in vain
	read(apitest.Clara)
	names("", "101@hq 100@branch")
	names("&tenant=fabrikam", "100@branch")
	names("&user=clara", "")
	bustest.Eventually(t, 10*time.Second, func() string {
		families, err := s.Telemetry.Registry.Gather()
		if err != nil {
			return err.Error()
		}
		got := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "offhook_presence_stale" {
				for _, m := range f.Metric {
					got[m.Label[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		if got["contoso"] != 1 || got["fabrikam"] != 1 {
			return fmt.Sprint(got)
		}
		return ""
	})

	// Whom nobody reads, nobody misses.
	ask(t, "PUT", s.URL+optionsPath+"fabrikam", `{"mode":"calendar"}`)
	names("", "101@hq")
	ask(t, "PUT", s.URL+"/api/v1/users/ben/pause", `{}`)
	names("", "")
	ask(t, "DELETE", s.URL+"/api/v1/users/ben/pause", "")
	names("", "101@hq")
	if code, p := get[api.Problem](t, s.URL+"/api/v1/status?stale=maybe"); code != 400 || p.Where != "stale" {
		t.Errorf("%d %+v", code, p)
	}
	if _, all := get[[]api.Status](t, s.URL+"/api/v1/status?stale=false"); len(all) != 5 {
		t.Errorf("%d of 5", len(all))
	}
}

// How old the values of a lane's users are is told for each lane, and for those who are on
// none: nobody has to look at 100,000 people to see that one lane is late.
func TestTheAgeOfALanesUsersIsAMetric(t *testing.T) {
	s := scene(t)
	bucket, err := store.Open(t.Context(), s.Bus.JetStream(), topology.Lanes)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(`{"users":["` + string(apitest.Anna.User) + `"]}`)
	if _, err := bucket.Put(t.Context(), subscription.LaneKey("contoso", "presence-1"), value); err != nil {
		t.Fatal(err)
	}
	read := func(who identity.Person, ago time.Duration) {
		t.Helper()
		s.Publish(t, wire.Presence{Person: who, Reading: presence.TeamsReading{Availability: "Available", Activity: "Available", SeenAt: s.Bus.Now().Add(-ago), Source: presence.Notification}})
	}
	read(apitest.Anna, 0)
	read(apitest.Ben, 5*time.Minute)
	read(apitest.Clara, 20*time.Minute)
	bustest.Eventually(t, 10*time.Second, func() string {
		families, err := s.Telemetry.Registry.Gather()
		if err != nil {
			return err.Error()
		}
		got := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "offhook_lane_age_seconds" {
				for _, m := range f.Metric {
					labels := map[string]string{}
					for _, l := range m.Label {
						labels[l.GetName()] = l.GetValue()
					}
					got[labels["tenant"]+"/"+labels["account"]+"/"+labels["quantile"]] = m.GetGauge().GetValue()
				}
			}
		}
		within := func(key string, least, most float64) bool {
			age, told := got[key]
			return told && age >= least && age <= most
		}
		if !within("contoso/presence-1/1", 0, 200) || !within("contoso//0.5", 300, 500) || !within("contoso//1", 1200, 1400) {
			return fmt.Sprint(got)
		}
		return ""
	})
}

package poller

import (
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// Graph may tell of a change before its delta has it.
func TestAHintHasTheDirectoryReadNowAndOnceMore(t *testing.T) {
	s := newStage(t, 3, nil)
	user := s.users()[0]
	conf, client := s.usersConfig(never)
	conf.Again = 300 * time.Millisecond
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	if n := len(client.read()); n != 1 {
		t.Fatalf("%d pages were read", n)
	}
	must(t, s.tenant().EditUser(string(user), func(u *graphsim.User) { u.Department = "Moved" }))
	s.hint(subscription.HintUsers, "all", "notification of users")
	s.eventually("the change is not read", func() bool { return s.directory()[user].fact.Department == "Moved" })
	s.eventually("there is no second look", func() bool { return len(client.read()) == 3 })
}

// unheard is how many hints of a kind wait or are with the service.
func (s *stage) unheard(kind string) int {
	s.t.Helper()
	consumer, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Hints), "graph-poller-contoso-"+kind)
	must(s.t, err)
	info, err := consumer.Info(s.t.Context())
	must(s.t, err)
	return int(info.NumPending) + info.NumAckPending
}

func TestHintsDoNotShortenAPauseThatGraphAskedFor(t *testing.T) {
	s := newStage(t, 3, nil)
	conf, client := s.usersConfig(never)
	conf.Again = 20 * time.Millisecond
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/users/delta", RetryAfter: "600"})
	must(t, err)
	s.run(conf)
	s.eventually("nothing was asked", func() bool { return s.graph.Requests().Of("GET", "/v1.0/users/delta()", 429) == 1 })
	for range 5 {
		s.hint(subscription.HintUsers, "all", "notification of users")
		s.eventually("a hint is left", func() bool { return s.unheard(subscription.HintUsers) == 0 })
	}
	if n := len(client.read()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

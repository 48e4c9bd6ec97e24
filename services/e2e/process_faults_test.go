package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/services/e2e/procs"
)

// scale is how much a fault test does.
type scale struct {
	users  string
	rate   float64 // changes a second
	rounds int     // how often each process is killed
}

// scaled is what CI has time for; with OFFHOOK_TABLE set (make bench) a look at the
// rate that the project aims at, with OFFHOOK_SOAK (make soak) what finds the rare
// things.
func scaled() scale {
	switch {
	case os.Getenv("OFFHOOK_SOAK") != "":
		return scale{"200", 200, 20}
	case os.Getenv("OFFHOOK_TABLE") != "":
		return scale{"200", 200, 2}
	}
	return scale{"40", 20, 1}
}

// quick makes the waits of an installation short and its log quiet.
var quick = map[string]string{
	"OFFHOOK_TENANTS_0_PRESENCE_SWEEP_PRESENCE": "2s",
	"OFFHOOK_TENANTS_0_PRESENCE_DAMPING":        "50ms",
	"OFFHOOK_TELEMETRY_LOG_LEVEL":               "warn",
}

// installation is a stack that is up, whose users are linked, and that Graph tells
// of changes.
func installation(t *testing.T, binaries procs.Binaries, size scale) (*procs.Stack, []procs.User) {
	t.Helper()
	s := procs.New(t, procs.Options{
		Root: root(t), Profiles: []string{"core", "sim", "cli"}, Binaries: binaries,
		Environment: map[string]string{"OFFHOOK_SIM_USERS": size.users}, Overrides: quick,
	})
	s.Up()
	users, err := s.Simulator.Users(t.Context())
	must(t, err)
	s.Eventually(60*time.Second, func() string {
		if n, events, err := s.Simulator.Subscriptions(t.Context()); err != nil || n != 1 || events != len(users) {
			return fmt.Sprintf("%d presence subscriptions, %d to the calendars of %d users (%v)", n, events, len(users), err)
		}
		return ""
	})
	return s, users
}

// state is a presence in Teams and the status that docs/presence.md gives for it.
type state struct {
	availability, activity string
	status                 presence.Status
}

var states = []state{
	{"Available", "Available", presence.Available},
	{"Busy", "InAMeeting", presence.DND},
	{"Away", "Away", presence.Away},
}

// load changes presences at random and remembers what is true.
type load struct {
	s       *procs.Stack
	users   []procs.User
	dice    *rand.Rand
	now     []int // of each user: the index of its state
	changes int
	took    time.Duration // until everyone was right, the last time
}

func newLoad(t *testing.T, s *procs.Stack, users []procs.User) *load {
	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("OFFHOOK_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("OFFHOOK_SEED=%d repeats the order of what follows", seed)
	l := &load{s: s, users: users, dice: rand.New(rand.NewPCG(seed, 0)), now: make([]int, len(users))}
	for i := range users {
		must(t, l.set(t.Context(), i, 0))
	}
	return l
}

func (l *load) set(ctx context.Context, user, to int) error {
	l.now[user] = to
	l.changes++
	return l.s.Simulator.SetPresence(ctx, l.users[user].ID, states[to].availability, states[to].activity)
}

// change makes one change that is none to what the user has already.
func (l *load) change(ctx context.Context) error {
	user := l.dice.IntN(len(l.users))
	return l.set(ctx, user, (l.now[user]+1+l.dice.IntN(len(states)-1))%len(states))
}

// run makes changes at a rate until stop is called, which returns the first error.
func (l *load) run(ctx context.Context, rate float64) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
			if err := l.change(context.WithoutCancel(ctx)); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() error {
		cancel()
		return <-ended
	}
}

// wrong lists the users whose extensions do not show what is true.
func (l *load) wrong(shown []pbxsim.Shown) (users []int) {
	for i := range l.users {
		if shown[i].Status != states[l.now[i]].status {
			users = append(users, i)
		}
	}
	return users
}

// mostPatience is more than the minute after which the last line of defence has
// gone over everything (docs/design.md, invariant 3).
const mostPatience = 90 * time.Second

// converges waits until every extension shows the truth and returns how many sweeps
// that took.
func (l *load) converges(t *testing.T) (sweeps float64) {
	t.Helper()
	began, start := l.sweeps(t), time.Now()
	var wrong []int
	why := l.s.Wait(mostPatience, func() string {
		shown, err := l.s.Simulator.Extensions(t.Context())
		must(t, err)
		if wrong = l.wrong(shown); len(wrong) > 0 {
			i := wrong[0]
			return fmt.Sprintf("%d of %d extensions are wrong; %s shows %s, want %s", len(wrong), len(l.users), shown[i].Number, shown[i].Status, states[l.now[i]].status)
		}
		return ""
	})
	sweeps = l.sweeps(t) - began
	if why != "" {
		explanation, _ := l.s.Run("offhook", "explain", l.users[wrong[0]].ID) // better than nothing
		t.Fatalf("after %v sweeps: %s\n%s", sweeps, why, explanation)
	}
	l.took = time.Since(start).Round(time.Millisecond)
	t.Logf("%d changes; everyone right %v and %v sweeps after the last", l.changes, l.took, sweeps)
	return sweeps
}

// sweeps counts those that the poller has finished, once it answers.
func (l *load) sweeps(t *testing.T) (n float64) {
	t.Helper()
	l.s.Eventually(30*time.Second, func() string {
		var err error
		if n, err = l.s.Metric(t.Context(), "graph-poller", "offhook_sweeps_total"); err != nil {
			return err.Error()
		}
		return ""
	})
	return n
}

// mostSweeps is how many sweeps may pass until everyone is right: two (docs/design.md, invariant 2),
// and the one that was under way at the last change. Where the broker was killed,
// mostPatience alone bounds it: the last milliseconds of streams that are not synced
// are gone, and the minute pass makes up for them.
const mostSweeps = 3

// victims are all services of the flow, and the broker.
var victims = []string{"webhook-receiver", "graph-poller", "presence-mapper", "user-sync", "contact-sync", "pbx-writer", "graph-writer", "control-api", "nats"}

func killedInTurn(t *testing.T, binaries procs.Binaries) {
	size := scaled()
	s, users := installation(t, binaries, size)
	l := newLoad(t, s, users)
	l.converges(t)

	order := slices.Clone(victims)
	var took kills
	for range size.rounds {
		l.dice.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, victim := range order {
			l.kill(t, victim, size.rate)
			if sweeps := l.converges(t); sweeps > mostSweeps && victim != "nats" {
				t.Errorf("after %s was killed it took %v sweeps", victim, sweeps)
			}
			took = append(took, kill{victim, l.took})
		}
	}
	took.print(t, size, l.changes)

	// The control: without the writer the comparison must see that something is wrong.
	s.Process("pbx-writer").Kill()
	for i := range users {
		must(t, l.set(t.Context(), i, (l.now[i]+1)%len(states)))
	}
	began := l.sweeps(t)
	s.Eventually(30*time.Second, func() string {
		if n := l.sweeps(t) - began; n < mostSweeps {
			return fmt.Sprintf("%v sweeps", n)
		}
		return ""
	})
	shown, err := s.Simulator.Extensions(t.Context())
	must(t, err)
	if len(l.wrong(shown)) != len(users) {
		t.Errorf("nobody writes, and only %d of %d extensions are wrong", len(l.wrong(shown)), len(users))
	}
}

// kill kills a process under load and starts it again. The load goes on until work
// passes again, or ends with the kill: then nothing that comes later can cover up
// what was lost.
func (l *load) kill(t *testing.T, victim string, rate float64) {
	t.Helper()
	stop := l.run(t.Context(), rate)
	l.s.Eventually(30*time.Second, after(l.passed(t, l.s)))
	l.s.Process(victim).Kill()
	goesOn := l.dice.IntN(2) == 0
	if !goesOn {
		must(t, stop())
	}
	l.s.Start(victim)
	l.s.Await(victim)
	if goesOn {
		l.s.Eventually(mostPatience, after(l.passed(t, l.s)))
		must(t, stop())
	}
	t.Logf("killed %s; the load went on: %v", victim, goesOn)
}

// passed returns a count of writes that shows that the load is on its way, so that a
// kill meets work and not an idle process.
func (l *load) passed(t *testing.T, s *procs.Stack) func() int {
	before := writes(t, s)
	return func() int { return len(writes(t, s)) - len(before) }
}

// after waits for ten of something.
func after(count func() int) func() string {
	return func() string {
		if n := count(); n < 10 {
			return fmt.Sprintf("only %d writes came through", n)
		}
		return ""
	}
}

func writes(t *testing.T, s *procs.Stack) []pbxsim.Write {
	t.Helper()
	all, err := s.Simulator.Writes(t.Context())
	must(t, err)
	return all
}

func redisForgets(t *testing.T, binaries procs.Binaries) {
	size := scaled()
	s, users := installation(t, binaries, size)
	l := newLoad(t, s, users)
	stop := l.run(t.Context(), size.rate)
	s.Eventually(30*time.Second, after(l.passed(t, s)))
	must(t, s.FlushRedis(t.Context()))
	s.Eventually(30*time.Second, after(l.passed(t, s)))
	if redis := s.Process("redis"); redis != nil {
		redis.Kill()
		s.Eventually(30*time.Second, after(l.passed(t, s)))
		s.Start("redis")
		s.Await("redis")
	}
	s.Eventually(30*time.Second, after(l.passed(t, s)))
	must(t, stop())
	l.converges(t)
}

func sleptThroughTheLease(t *testing.T, binaries procs.Binaries) {
	s, users := installation(t, binaries, scaled())
	l := newLoad(t, s, users)
	l.converges(t)
	first := s.Process("pbx-writer")
	s.Replica("pbx-writer", "pbx-writer-2")

	// Slow enough that the first writer falls asleep with most of its work in hand.
	must(t, s.Simulator.PBXFault(t.Context(), pbxsim.Fault{Kind: pbxsim.Latency, Delay: 200 * time.Millisecond, Only: "write"}))
	before := len(writes(t, s))
	l.all(t, 1)
	s.Eventually(30*time.Second, func() string {
		if n := len(writes(t, s)) - before; n < 4 {
			return fmt.Sprintf("%d writes", n)
		}
		return ""
	})
	first.Pause(t)
	asleep := len(writes(t, s)) - before
	l.all(t, 2)
	must(t, s.Simulator.ClearPBXFaults(t.Context()))
	l.converges(t) // through the second writer: the first one's lease has ended

	first.Resume(t)
	s.Eventually(30*time.Second, func() string {
		if !s.Logged("pbx-writer", "lease lost") {
			return "the first writer has not noticed yet"
		}
		return ""
	})
	l.converges(t)
	after := writes(t, s)[before:]
	t.Logf("%d writes before the first writer slept, %d in all", asleep, len(after))
	if asleep >= len(users) {
		t.Error("the first writer had nothing in hand when it fell asleep: nothing was tried")
	}
	order := []presence.Status{states[1].status, states[2].status}
	for _, w := range pbxsim.Late(after, order) {
		t.Errorf("an older status landed after a newer one: %+v", w)
	}
}

// all sets every user to a state.
func (l *load) all(t *testing.T, to int) {
	t.Helper()
	for i := range l.users {
		must(t, l.set(t.Context(), i, to))
	}
}

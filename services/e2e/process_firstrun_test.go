package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/services/e2e/procs"
)

// firstRun is a tenant whose users get extensions and phonebooks for the first time.
type firstRun struct {
	users    int
	had      int // have an extension already
	contacts int // of each user
	kills    int // of each service
	write    time.Duration
}

func firstRunScaled() firstRun {
	if os.Getenv("OFFHOOK_SOAK") != "" {
		return firstRun{users: 400, had: 20, contacts: 60, kills: 20, write: 20 * time.Millisecond}
	}
	return firstRun{users: 40, had: 4, contacts: 20, kills: 1, write: 20 * time.Millisecond}
}

// killable are all services: those that work on a first run, and those that stand by.
var killable = slices.DeleteFunc(slices.Clone(victims), func(name string) bool { return name == "nats" })

func killedInAFirstRun(t *testing.T, binaries procs.Binaries) {
	size := firstRunScaled()
	settings := maps.Clone(quick)
	maps.Copy(settings, map[string]string{
		"OFFHOOK_TENANTS_0_USERS_POLICY": "sync", "OFFHOOK_TENANTS_0_USERS_START_EXTENSION": "2000", "OFFHOOK_TENANTS_0_USERS_PHOTOS": "false",
	})
	s := procs.New(t, procs.Options{
		Root: root(t), Profiles: []string{"core", "sim", "cli"}, Binaries: binaries, Without: killable,
		Environment: map[string]string{"OFFHOOK_SIM_USERS": strconv.Itoa(size.users)}, Overrides: settings,
	})
	s.Up()
	ctx := t.Context()
	users, err := s.Simulator.Users(ctx)
	must(t, err)
	before, err := s.Simulator.Extensions(ctx)
	must(t, err)
	for i, user := range users {
		must(t, s.Simulator.FillContacts(ctx, user.ID, size.contacts))
		if i >= size.had {
			must(t, s.Simulator.RemoveExtension(ctx, before[i].Number))
		}
	}
	before = before[:size.had]
	must(t, s.Simulator.PBXFault(ctx, pbxsim.Fault{Kind: pbxsim.Latency, Delay: size.write, Only: "write"}))
	for _, name := range killable {
		s.Start(name)
	}

	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("OFFHOOK_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("OFFHOOK_SEED=%d repeats whom it hits, and when", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	order := slices.Clone(killable)
	for round := range size.kills {
		dice.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, victim := range order {
			<-time.After(time.Duration(100+dice.IntN(900)) * time.Millisecond)
			s.Process(victim).Kill()
			s.Start(victim)
		}
		if wrong := firstRunIs(t, s, users, before); len(wrong) == 0 {
			t.Fatalf("the first run was over after %d of %d rounds: most kills met nothing", round+1, size.kills)
		}
	}
	began := time.Now()
	s.Eventually(15*time.Minute, func() string { // 24,000 entries at 100 a second in the long form
		if wrong := firstRunIs(t, s, users, before); len(wrong) > 0 {
			return fmt.Sprintf("%d things are wrong, the first: %s", len(wrong), wrong[0])
		}
		return ""
	})
	t.Logf("%d kills of each of %d services; %d users with %d contacts each are right %v after the last", size.kills, len(killable), size.users, size.contacts, time.Since(began).Round(time.Millisecond))

	changes, err := s.Simulator.Changes(ctx)
	must(t, err)
	made := map[identity.Extension]int{}
	for _, c := range changes {
		if c.Op == "create-user" {
			if made[c.Object]++; made[c.Object] > 1 {
				t.Errorf("extension %s was made %d times", c.Object, made[c.Object])
			}
		}
	}
	if len(made) != size.users-size.had {
		t.Errorf("%d extensions were made for %d users without", len(made), size.users-size.had)
	}

	broken, err := s.Simulator.Violations(ctx)
	must(t, err)
	if len(broken) > 0 {
		t.Errorf("%d things that Graph's clients must not do, the first: %+v", len(broken), broken[0])
	}

	// The control: what nobody has put right is seen.
	for _, name := range killable {
		s.Process(name).Kill()
	}
	must(t, s.Simulator.ClearPBXFaults(ctx))
	must(t, s.Simulator.RemoveExtension(ctx, before[0].Number))
	if wrong := firstRunIs(t, s, users, before); len(wrong) == 0 {
		t.Error("an extension is gone, and nothing is wrong")
	}
}

// firstRunIs compares the phone system with what the directory and the mailboxes ask for:
// one extension for each user, who had one still has it, and each personal phonebook has the
// contacts of its user, each once, with their numbers.
func firstRunIs(t *testing.T, s *procs.Stack, users []procs.User, before []pbxsim.Shown) (wrong []string) {
	t.Helper()
	all, err := s.Simulator.Extensions(t.Context())
	must(t, err)
	of := map[string][]identity.Extension{}
	for _, e := range all {
		of[strings.ToLower(e.Mail)] = append(of[strings.ToLower(e.Mail)], e.Number)
	}
	if len(all) != len(users) {
		wrong = append(wrong, fmt.Sprintf("%d extensions for %d users", len(all), len(users)))
	}
	for i, user := range users {
		has := of[strings.ToLower(user.Mail)]
		switch {
		case len(has) != 1:
			wrong = append(wrong, fmt.Sprintf("%s has the extensions %v", user.Mail, has))
		case i < len(before) && has[0] != before[i].Number:
			wrong = append(wrong, fmt.Sprintf("%s had %s and has %s", user.Mail, before[i].Number, has[0]))
		default:
			wrong = append(wrong, bookIs(t, s, user, has[0])...)
		}
	}
	return wrong
}

// bookIs compares one personal phonebook with its mailbox.
func bookIs(t *testing.T, s *procs.Stack, user procs.User, owner identity.Extension) (wrong []string) {
	t.Helper()
	contacts, err := s.Simulator.Contacts(t.Context(), user.ID)
	must(t, err)
	book, err := s.Simulator.Book(t.Context(), owner)
	must(t, err)
	left := map[string]int{}
	for _, c := range contacts {
		left[entryOf(c.GivenName, c.Surname, c.CompanyName, append([]string{c.MobilePhone}, c.BusinessPhones...))]++
	}
	for _, e := range book {
		left[entryOf(e.FirstName, e.LastName, e.Company, textsOf(e.Numbers))]--
	}
	for entry, n := range left {
		if n != 0 {
			wrong = append(wrong, fmt.Sprintf("the phonebook of %s, %s, has %d too few of %s", owner, user.Mail, n, entry))
		}
	}
	return wrong
}

func entryOf(first, last, company string, numbers []string) string {
	numbers = slices.DeleteFunc(slices.Clone(numbers), func(n string) bool { return n == "" })
	slices.Sort(numbers)
	return fmt.Sprint(first, " ", last, ", ", company, " ", numbers)
}

func textsOf(numbers []directory.Number) (texts []string) {
	for _, n := range numbers {
		texts = append(texts, n.Text)
	}
	return texts
}

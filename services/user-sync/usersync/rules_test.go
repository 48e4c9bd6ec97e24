package usersync

import (
	"testing"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const support = identity.Group("aaaaaaaa-0000-4000-8000-000000000001")

// edited are the options of a tenant whose section `users` was edited.
func edited(edit func(*config.Users)) Options {
	o := synchronising("sync")
	rules := o.Rules["contoso"]
	edit(&rules.Users)
	o.Rules["contoso"] = rules
	return o
}

func TestNumbersComeFromTheFirstRangeThatFits(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	anna, ben, carl, dora := named(1, "Anna"), named(2, "Ben"), named(3, "Carl"), named(4, "Dora")
	ben.Department, carl.Department = "SALES", "Sales"
	s.publish(anna, ben, carl, dora)
	s.start(edited(func(u *config.Users) {
		u.Ranges = []config.NumberRange{
			{Groups: []string{"AAAAAAAA-0000-4000-8000-000000000001"}, From: "500", To: "599"},
			{Departments: []string{"Sales"}, From: "300", To: "300"}, // has room for one of two
		}
	}))
	// Nobody has a number for good that another range might have been meant to give.
	out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan})
	if did := p.did(); len(did) > 0 || out.Total != 0 {
		t.Errorf("before it is known who is in the group: %v, %+v", did, out)
	}
	s.publish(wire.Group{Tenant: "contoso", ID: support, Members: []identity.User{dora.Person.User}, SeenAt: s.bus.Now()})
	p.eventually("200 Anna; 300 Ben; 500 Dora")
	shown, err := plans.Load(t.Context(), s.open(topology.Plans), s.ordered(wire.SyncOrder{ID: "2", Op: wire.SyncPlan}).Plan)
	if err != nil || len(shown.Changes) != 1 || shown.Changes[0].Reason != string(directory.NumbersFull) || shown.Changes[0].Name != "carl@x" {
		t.Errorf("who finds no number is not told: %+v, %v", shown.Changes, err)
	}
}

func TestWhatIsSwitchedOffStaysAsThePhoneSystemHasIt(t *testing.T) {
	anna := named(1, "Anna")
	anna.OfficePhone, anna.Department, anna.Language = "+49 30 901820", "Sales", "de-DE"
	for _, tt := range []struct {
		name                  string
		on                    bool
		caller, group, speech string
	}{
		{"everything on", true, "+4930901820", "Sales", "de-DE"},
		{"everything off", false, "", group, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			p := s.phones()
			p.listed()
			s.publish(anna)
			s.start(edited(func(u *config.Users) {
				u.CallerID, u.Department, u.Language, u.SignIn = tt.on, tt.on, tt.on, tt.on
			}))
			p.eventually("200 Anna")
			got := p.has["200"]
			if got.CallerID != tt.caller || got.Department != tt.group || got.Language != tt.speech || got.SignIn != tt.on {
				t.Errorf("made as %+v", got)
			}
		})
	}
}

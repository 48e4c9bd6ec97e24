package api_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/options"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/apitest"
)

func TestOptionsChoicesAndPausesOverGRPC(t *testing.T) {
	s := scene(t)
	client := controlv1.NewControlServiceClient(dial(t, s))
	until := timestamppb.New(s.Bus.Now().Add(time.Hour).Truncate(time.Second))
	anna := &controlv1.Target{Tenant: "contoso", User: "anna"}
	sent := &controlv1.Options{
		Mode: "both", Base: "away", Combine: "strongest", Manual: &controlv1.Manual{Policy: "until-cleared", Max: "05:00", Scope: "user"},
		Damping: durationpb.New(0), StaleAfter: durationpb.New(time.Hour), Teams: map[string]string{"Away": "release"}, Calendar: map[string]string{"oof": "dnd"},
		Pbx: map[string]string{"lunch": "BeRightBack"}, Chosen: &controlv1.Choice{Status: "dnd", Until: until, System: "hq", Extension: "100"}, PausedUntil: until,
	}
	put, err := client.PutOptions(t.Context(), &controlv1.PutOptionsRequest{Target: anna, Options: sent, Revision: proto.Uint64(0)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetOptions(t.Context(), &controlv1.GetOptionsRequest{Target: anna})
	if err != nil || !proto.Equal(got.Entry, put.Entry) || got.Entry.Upn != "anna@contoso.example" || got.Entry.Concerns != 1 || len(got.Entry.Effective) != 12 {
		t.Fatalf("%v, %v\nafter %v", got, err, put)
	}
	o := proto.CloneOf(got.Entry.Options)
	if o.By != "local" || o.At == nil || o.Chosen.By != "local" || o.Chosen.At == nil {
		t.Errorf("who changed it, and when: %v", o)
	}
	o.By, o.At, o.Chosen.By, o.Chosen.At = "", nil, "", nil
	if !proto.Equal(o, sent) {
		t.Errorf("set:  %v\nsent: %v", o, sent)
	}
	if _, err := client.PutOptions(t.Context(), &controlv1.PutOptionsRequest{Target: anna, Options: sent, Revision: proto.Uint64(0)}); status.Code(err) != codes.Aborted {
		t.Errorf("over an older revision: %v", err)
	}
	if gone, err := client.DeleteOptions(t.Context(), &controlv1.DeleteOptionsRequest{Target: anna, Revision: &got.Entry.Revision}); err != nil || gone.Entry.Options.Mode != "" || gone.Entry.Options.Chosen == nil {
		t.Errorf("taken away: %v, %v", gone, err)
	}
	if tenant, err := client.PutOptions(t.Context(), &controlv1.PutOptionsRequest{Target: &controlv1.Target{Tenant: "contoso"}, Options: &controlv1.Options{Mode: "calendar"}}); err != nil || tenant.Entry.Concerns != 3 {
		t.Errorf("a tenant's: %v, %v", tenant, err)
	}
	if group, err := client.GetOptions(t.Context(), &controlv1.GetOptionsRequest{Target: &controlv1.Target{Tenant: "contoso", Group: string(apitest.Anna.User)}}); err != nil || group.Entry.Group == "" {
		t.Errorf("a group's: %v, %v", group, err)
	}

	choice, err := client.PutChoice(t.Context(), &controlv1.PutChoiceRequest{User: "clara", Status: "lunch", Extension: "7102", Until: until})
	if err != nil || choice.Entry.Options.Chosen.System != "branch" || !choice.Entry.Options.Chosen.Until.AsTime().Equal(until.AsTime()) {
		t.Errorf("chosen: %v, %v", choice, err)
	}
	withdrawn, err := client.DeleteChoice(t.Context(), &controlv1.DeleteChoiceRequest{User: "clara", Extension: "7102"})
	if err != nil || withdrawn.Entry.Options.Chosen.Status != "" || withdrawn.Entry.Options.Chosen.Extension != "7102" {
		t.Errorf("withdrawn: %v, %v", withdrawn, err)
	}
	pause, err := client.PutPause(t.Context(), &controlv1.PutPauseRequest{User: "clara"})
	if err != nil || !pause.Entry.Options.PausedUntil.AsTime().Equal(options.Forever) {
		t.Errorf("paused: %v, %v", pause, err)
	}
	resumed, err := client.DeletePause(t.Context(), &controlv1.DeletePauseRequest{User: "clara"})
	if err != nil || resumed.Entry.Options.PausedUntil != nil {
		t.Errorf("resumed: %v, %v", resumed, err)
	}
}

func TestGRPCRefusesWhatRESTRefuses(t *testing.T) {
	s := scene(t)
	client := controlv1.NewControlServiceClient(dial(t, s))
	bad := &timestamppb.Timestamp{Nanos: -1}
	over := timestamppb.New(s.Bus.Now().Add(-time.Minute))
	put := func(target *controlv1.Target, o *controlv1.Options) error {
		_, err := client.PutOptions(t.Context(), &controlv1.PutOptionsRequest{Target: target, Options: o})
		return err
	}
	contoso := &controlv1.Target{Tenant: "contoso"}
	choose := func(r *controlv1.PutChoiceRequest) error { _, err := client.PutChoice(t.Context(), r); return err }
	pause := func(r *controlv1.PutPauseRequest) error { _, err := client.PutPause(t.Context(), r); return err }
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"a mode that there is not":      {put(contoso, &controlv1.Options{Mode: "sideways"}), codes.InvalidArgument},
		"a negative duration":           {put(contoso, &controlv1.Options{Damping: durationpb.New(-1)}), codes.InvalidArgument},
		"a time that is none":           {put(contoso, &controlv1.Options{PausedUntil: bad}), codes.InvalidArgument},
		"nobody's options":              {put(nil, &controlv1.Options{}), codes.NotFound},
		"a tenant that there is not":    {put(&controlv1.Target{Tenant: "nobody"}, nil), codes.NotFound},
		"a group and a user":            {put(&controlv1.Target{Tenant: "contoso", Group: "x", User: "anna"}, nil), codes.InvalidArgument},
		"no status":                     {choose(&controlv1.PutChoiceRequest{User: "clara"}), codes.InvalidArgument},
		"a choice that is over":         {choose(&controlv1.PutChoiceRequest{User: "clara", Status: "dnd", Until: over}), codes.InvalidArgument},
		"a choice until no time at all": {choose(&controlv1.PutChoiceRequest{User: "clara", Status: "dnd", Until: bad}), codes.InvalidArgument},
		"somebody without an extension": {choose(&controlv1.PutChoiceRequest{User: "dora", Status: "dnd"}), codes.NotFound},
		"two people":                    {choose(&controlv1.PutChoiceRequest{User: "anna", Status: "dnd"}), codes.FailedPrecondition},
		"a pause until no time at all":  {pause(&controlv1.PutPauseRequest{User: "clara", Until: bad}), codes.InvalidArgument},
		"a pause of nobody":             {pause(&controlv1.PutPauseRequest{User: "zoe"}), codes.NotFound},
	} {
		if status.Code(c.err) != c.want {
			t.Errorf("%s: %v, want %s", name, c.err, c.want)
		}
	}
}

func TestWhatGoesToTeamsAndWhoIsStaleOverGRPC(t *testing.T) {
	s := scene(t)
	client := controlv1.NewControlServiceClient(dial(t, s))
	s.Publish(t, call(s, 1, 1).Messages()...)
	bustest.Eventually(t, 10*time.Second, func() string {
		list, err := client.ListStatus(t.Context(), &controlv1.ListStatusRequest{User: "100@hq", Stale: true})
		if err != nil || len(list.Entries) != 1 || list.Entries[0].ToTeams.GetSession() != "Busy/InACall" || list.Entries[0].ToTeams.Result != "applied" || list.Entries[0].ToTeams.Until == nil {
			return list.String()
		}
		return ""
	})
	if list, err := client.ListStatus(t.Context(), &controlv1.ListStatusRequest{Tenant: "nobody", Stale: true}); err != nil || len(list.Entries) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

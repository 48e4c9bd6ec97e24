package plans_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *store.Bucket {
	t.Helper()
	bucket, err := store.Open(t.Context(), bustest.Connect(t, bustest.Broker(t), "test").JetStream(), topology.Plans)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func saved(t *testing.T, bucket *store.Bucket, h plans.Head) plans.Head {
	t.Helper()
	if err := plans.Save(t.Context(), bucket, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAPlanIsKeptInValuesThatTheBrokerTakes(t *testing.T) {
	const listed, all = 3_000, 3_005
	bucket := open(t)
	h := plans.Head{Plan: plan.Plan{ID: "contoso-contacts-1", Expires: noon, Digest: "d"}, Tenant: "contoso", Kind: wire.SyncContacts, Made: noon}
	for i := range all {
		h.Add(plan.Change{Op: plan.Delete, Object: fmt.Sprintf("contoso/%d", i), Line: "hq/204", Reason: strings.Repeat("x", 2_500), Held: i%5 == 0}, listed)
	}
	if h.Total != all*4/5 || h.Unlisted != all-listed {
		t.Errorf("%d to do, %d unlisted", h.Total, h.Unlisted)
	}
	saved(t, bucket, h)
	values := 0
	if err := bucket.Each(t.Context(), ">", func(e store.Entry) error {
		if values++; len(e.Value) > 1<<20 {
			t.Errorf("%s has %d bytes", e.Key, len(e.Value))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := plans.Load(t.Context(), bucket, h.ID)
	if err != nil || values != len(got.Parts)+1 || len(got.Parts) < 2 || !slices.EqualFunc(got.Changes, h.Changes, func(a, b plan.Change) bool { return a.String() == b.String() }) {
		t.Fatalf("%d values, %d parts, %d changes, %v", values, len(got.Parts), len(got.Changes), err)
	}
	var from []plan.Change
	if err := plans.Each(t.Context(), bucket, got, listed-2, func(some []plan.Change) error { from = append(from, some...); return nil }); err != nil || len(from) != 2 || from[0].Object != h.Changes[listed-2].Object {
		t.Errorf("from the last but one on: %v, %v", from, err)
	}
}

func TestAPlanThatIsStoredAPartAfterTheOtherIsReadWhole(t *testing.T) {
	bucket := open(t)
	h := plans.Head{Plan: plan.Plan{ID: "contoso-users-1"}, Tenant: "contoso", Kind: wire.SyncUsers, Made: noon}
	for i := range 5 {
		if h.Add(plan.Change{Op: plan.Create, Object: fmt.Sprintf("contoso/%d", i)}, 0); i%2 == 1 {
			if err := h.Part(t.Context(), bucket); err != nil || len(h.Changes) != 0 {
				t.Fatalf("%d changes, %v", len(h.Changes), err)
			}
		}
	}
	if _, err := plans.Load(t.Context(), bucket, h.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("before its head is stored: %v", err)
	}
	if err := errors.Join(h.Part(t.Context(), bucket), plans.Note(t.Context(), bucket, h)); err != nil {
		t.Fatal(err)
	}
	got, err := plans.Load(t.Context(), bucket, h.ID)
	if err != nil || got.Total != 5 || !slices.Equal(got.Parts, []int{2, 2, 1}) || len(got.Changes) != 5 || got.Changes[4].Object != "contoso/4" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPlansAreForgottenADayAfterTheyWereMade(t *testing.T) {
	bucket := open(t)
	for id, state := range map[string]wire.SyncState{"contoso-users-old": wire.SyncPlanned, "contoso-users-busy": wire.SyncApplying} {
		saved(t, bucket, plans.Head{Plan: plan.Plan{ID: id, Changes: []plan.Change{{Op: plan.Create}}}, Tenant: "contoso", Kind: wire.SyncUsers, Made: noon, State: state})
	}
	saved(t, bucket, plans.Head{Plan: plan.Plan{ID: "contoso-users-new"}, Tenant: "contoso", Kind: wire.SyncUsers, Made: noon.Add(time.Minute), State: wire.SyncPlanned})
	if err := plans.Forget(t.Context(), bucket, noon.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	heads, err := plans.Heads(t.Context(), bucket)
	var left []string
	for _, h := range heads {
		left = append(left, h.ID)
	}
	if slices.Sort(left); err != nil || !slices.Equal(left, []string{"contoso-users-busy", "contoso-users-new"}) {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := plans.Load(t.Context(), bucket, "contoso-users-old"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the forgotten one: %v", err)
	}
	if _, err := bucket.Get(t.Context(), topology.Join("contoso-users-old", "0")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("its changes: %v", err)
	}
}

func TestWhoseAPlanIs(t *testing.T) {
	for id, want := range map[string]string{
		plans.NewID("contoso", wire.SyncUsers):              "contoso users",
		plans.IDOf("a-users-b", wire.SyncContacts, "order"): "a-users-b contacts",
		"contoso-1a2b3c4d5e":                                "invalid",
		"-users-1a2b3c4d5e":                                 "invalid",
		"":                                                  "invalid",
	} {
		tenant, kind, err := plans.Owner(id)
		got := fmt.Sprintf("%s %s", tenant, kind)
		if err != nil {
			got = fault.KindOf(err).String()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

package books_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

var (
	noon = time.Date(2026, 3, 2, 12, 0, 0, 123_000, time.UTC)
	anna = identity.Person{Tenant: "contoso", User: "00000000-0000-0000-0000-000000000001"}
)

func open(t *testing.T, name topology.Bucket) *store.Bucket {
	t.Helper()
	bucket, err := store.Open(t.Context(), bustest.Connect(t, bustest.Broker(t), "test").JetStream(), name)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func TestALackIsToldUntilItIsTakenAway(t *testing.T) {
	bucket := open(t, topology.Books)
	if _, err := bucket.Put(t.Context(), "contoso.someone.hq.204", []byte("a book")); err != nil {
		t.Fatal(err)
	}
	revision, err := bucket.Put(t.Context(), books.LacksKey(anna), books.EncodeLacks(noon))
	if err != nil {
		t.Fatal(err)
	}
	type told struct {
		who   identity.Person
		after time.Time
	}
	heard := make(chan told, 10)
	ended := make(chan error, 1)
	current := make(chan struct{})
	go func() {
		ended <- books.Watch(t.Context(), bucket, func(who identity.Person, after time.Time) { heard <- told{who, after} }, func() { close(current) })
	}()
	<-current
	if got := <-heard; got != (told{anna, noon}) {
		t.Errorf("told of %+v", got)
	}
	if err := bucket.Delete(t.Context(), books.LacksKey(anna), revision); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != (told{who: anna}) {
		t.Errorf("told of %+v", got)
	}
	if len(heard) > 0 {
		t.Errorf("told of %+v besides", <-heard)
	}
}

func TestWhatIsNoLackIsInvalid(t *testing.T) {
	for name, e := range map[string]store.Entry{
		"a book":            {Key: "contoso.someone.hq.204"},
		"another word":      {Key: "has.contoso." + string(anna.User), Value: books.EncodeLacks(noon)},
		"no tenant":         {Key: "lacks.Contoso." + string(anna.User), Value: books.EncodeLacks(noon)},
		"no mailbox":        {Key: "lacks.contoso.anna", Value: books.EncodeLacks(noon)},
		"no time":           {Key: books.LacksKey(anna), Value: []byte("soon")},
		"no escaped tokens": {Key: "lacks.contoso._", Value: books.EncodeLacks(noon)},
	} {
		if who, after, err := books.DecodeLacks(e); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v after %v, %v", name, who, after, err)
		}
	}
}

func TestAPlanIsKeptInParts(t *testing.T) {
	bucket := open(t, topology.BookPlans)
	p := books.Plan{Plan: plan.Plan{ID: "p1", Expires: noon, Digest: "d"}, Tenant: "contoso", Made: noon, Policy: plan.Sync, Counts: map[plan.Op]int{}}
	const all = books.MostChanges + 5
	for i := range all {
		p.Note(plan.Change{Op: plan.Delete, Object: fmt.Sprintf("contoso/%s/%d", anna.User, i), Line: "hq/204", Reason: strings.Repeat("x", 100), Held: i%2 == 0, Fields: []plan.FieldChange{{Name: "content"}}})
	}
	if p.Counts[plan.Delete] != all || p.Unlisted != 5 || p.Total+p.HeldBack != all || !p.Brake.Tripped || p.Changes[1].Fields != nil {
		t.Errorf("%d counted, %d unlisted, %d to do, %d held", p.Counts[plan.Delete], p.Unlisted, p.Total, p.HeldBack)
	}
	if err := books.WritePlan(t.Context(), bucket, p); err != nil {
		t.Fatal(err)
	}
	values := 0
	if err := bucket.Each(t.Context(), ">", func(e store.Entry) error {
		if values++; len(e.Value) > 1<<20 {
			t.Errorf("%s has %d bytes", e.Key, len(e.Value))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := books.ReadPlan(t.Context(), bucket, "contoso", "p1")
	if err != nil || values != got.Parts+1 || got.Parts < 2 || !slices.EqualFunc(got.Changes, p.Changes, func(a, b plan.Change) bool { return a.String() == b.String() }) {
		t.Fatalf("%d values, %d parts, %d changes, %v", values, got.Parts, len(got.Changes), err)
	}
	if err := books.DeletePlan(t.Context(), bucket, got); err != nil {
		t.Fatal(err)
	}
	if _, err := books.ReadPlan(t.Context(), bucket, "contoso", "p1"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("after it was deleted: %v", err)
	}
}

func TestWhatIsNoPlanOrStateIsInvalid(t *testing.T) {
	if _, err := books.DecodeHead([]byte("{")); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	if _, err := books.DecodeState([]byte("{")); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

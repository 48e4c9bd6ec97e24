package books_test

import (
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
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

func TestWhatIsNoStateIsInvalid(t *testing.T) {
	if _, err := books.DecodeState([]byte("{")); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

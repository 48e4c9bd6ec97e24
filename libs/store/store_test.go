package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

func open(t *testing.T, name topology.Bucket) *store.Bucket {
	t.Helper()
	b := bustest.Connect(t, bustest.Broker(t), "test")
	if err := b.Apply(t.Context(), bus.Layout{LeaseTTL: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	bucket, err := store.Open(t.Context(), b.JetStream(), name)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func TestSetIsCompareAndSet(t *testing.T) {
	b := open(t, topology.Memory)
	if _, err := b.Get(t.Context(), "contoso.anna"); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("get of nothing: %v, want not found", err)
	}
	first, err := b.Set(t.Context(), "contoso.anna", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Set(t.Context(), "contoso.anna", []byte("again"), 0); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("create twice: %v, want a conflict", err)
	}
	second, err := b.Set(t.Context(), "contoso.anna", []byte("2"), first)
	if err != nil || second <= first {
		t.Fatalf("set over the newest: revision %d after %d, %v", second, first, err)
	}
	if _, err := b.Set(t.Context(), "contoso.anna", []byte("3"), first); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("set over an older revision: %v, want a conflict", err)
	}
	if err := b.Delete(t.Context(), "contoso.anna", first); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("delete of an older revision: %v, want a conflict", err)
	}
	if e, err := b.Get(t.Context(), "contoso.anna"); err != nil || string(e.Value) != "2" || e.Revision != second {
		t.Fatalf("got %q at %d, %v", e.Value, e.Revision, err)
	}
}

// Nobody who uses a bucket can tell that it is in several streams.
func TestABucketOfSeveralStreamsIsOne(t *testing.T) {
	b := open(t, topology.Memory)
	const people = 40
	used, want := map[int]bool{}, map[string]string{}
	for i := range people {
		key := topology.Join("contoso", fmt.Sprint("user-", i))
		used[topology.Memory.Part(key)] = true
		want[key] = fmt.Sprint(i)
		if _, err := b.Set(t.Context(), key, []byte(want[key]), 0); err != nil {
			t.Fatal(err)
		}
	}
	if parts := len(topology.Memory.Parts()); len(used) != parts {
		t.Fatalf("%d keys are in %d parts of %d", people, len(used), parts)
	}
	got := map[string]string{}
	take := func(e store.Entry) error { got[e.Key] = string(e.Value); return nil }
	if err := b.Each(t.Context(), ">", take); err != nil || !maps.Equal(got, want) {
		t.Fatalf("each: %v, %v, want %v", got, err, want)
	}
	clear(got)
	ctx, stop := context.WithCancel(t.Context())
	currents := 0
	err := b.Watch(ctx, "contoso.>", take, func() {
		if currents++; !maps.Equal(got, want) {
			t.Errorf("current after %d of %d", len(got), people)
		}
		stop()
	})
	if fault.KindOf(err) != fault.Cancelled || currents != 1 {
		t.Fatalf("watch: %v, current %d times", err, currents)
	}
}

func TestAKeyThatIsRewrittenWhileItIsListedIsListed(t *testing.T) {
	b := open(t, topology.Links)
	const keys, rounds = 4, 200
	bustest.Unrest(t, keys, func(i int) error {
		_, err := b.Put(context.WithoutCancel(t.Context()), fmt.Sprint("contoso.user-", i), nil)
		return err
	})
	ways := map[string]func(func(store.Entry) error) error{
		"each": func(take func(store.Entry) error) error { return b.Each(t.Context(), ">", take) },
		"watch until current": func(take func(store.Entry) error) error {
			ctx, stop := context.WithCancel(t.Context())
			current := false
			err := b.Watch(ctx, ">", func(e store.Entry) error {
				if current {
					return nil
				}
				return take(e)
			}, func() { current = true; stop() })
			if current {
				return nil
			}
			return err
		},
	}
	for name, list := range ways {
		for round := range rounds {
			seen := map[string]bool{}
			if err := list(func(e store.Entry) error { seen[e.Key] = true; return nil }); err != nil {
				t.Fatal(err)
			}
			if len(seen) != keys {
				t.Errorf("%s, round %d: %d of %d", name, round, len(seen), keys)
			}
		}
	}
}

// What was stored must be found by the next version, too.
func TestAKeyStaysInItsPart(t *testing.T) {
	for key, part := range map[string]int{"contoso.anna": 0, "contoso.ben": 3, "hq.101": 4} {
		if got := topology.Memory.Part(key); got != part {
			t.Errorf("%s is in part %d, not %d", key, got, part)
		}
	}
	if len(topology.Memory.Parts()) != 8 || len(topology.Ledger.Parts()) != 8 {
		t.Error("memory and ledger have 8 parts")
	}
}

func TestWatchGivesWhatIsThereThenWhatChanges(t *testing.T) {
	b := open(t, topology.Links)
	revision, err := b.Put(t.Context(), "contoso.anna", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan store.Entry, 10)
	current := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- b.Watch(ctx, ">", func(e store.Entry) error { seen <- e; return nil }, func() { close(current) })
	}()
	<-current
	if e := <-seen; string(e.Value) != "1" || e.Key != "contoso.anna" {
		t.Fatalf("first %q of %s", e.Value, e.Key)
	}
	if err := b.Delete(t.Context(), "contoso.anna", revision); err != nil {
		t.Fatal(err)
	}
	if e := <-seen; !e.Deleted {
		t.Fatalf("a deletion came as %+v", e)
	}
	cancel()
	if err := <-ended; fault.KindOf(err) != fault.Cancelled {
		t.Fatal(err)
	}
}

func holder(b *store.Bucket, name string) store.Leases {
	return store.Leases{Bucket: b, Holder: name, TTL: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}
}

// The client closes a watch when its context ends, which may be seen first.
func TestAWatchThatIsCancelledSaysSoWhateverIsSeenFirst(t *testing.T) {
	conn := bustest.Connect(t, bustest.Broker(t), "test")
	if err := conn.Apply(t.Context(), bus.Layout{}); err != nil {
		t.Fatal(err)
	}
	b, err := store.Open(t.Context(), conn.JetStream(), topology.Links)
	if err != nil {
		t.Fatal(err)
	}
	idle := conn.Conn().NumSubscriptions()
	for range 20 { // of two things that are both the case, either is seen
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Watch(ctx, ">", func(store.Entry) error { return nil }, func() {
			cancel()
			bustest.Eventually(t, 5*time.Second, func() string {
				if n := conn.Conn().NumSubscriptions(); n > idle {
					return fmt.Sprintf("%d subscriptions of %d", n, idle)
				}
				return ""
			})
		})
		if fault.KindOf(err) != fault.Cancelled {
			t.Fatalf("%v, want cancelled", err)
		}
	}
}

func TestALeaseHasOneHolderAndPassesOnAtOnceWhenGivenBack(t *testing.T) {
	b := open(t, topology.Leases)
	var holders, most atomic.Int32
	fences := make(chan uint64, 2)
	work := func(ctx context.Context, l store.Lease) error {
		most.Store(max(most.Load(), holders.Add(1)))
		defer holders.Add(-1)
		fences <- l.Fence
		<-ctx.Done()
		return nil
	}
	ctxA, stopA := context.WithCancel(t.Context())
	ctxB, stopB := context.WithCancel(t.Context())
	endA, endB := make(chan error, 1), make(chan error, 1)
	go func() { endA <- holder(b, "a").Hold(ctxA, "pbx.hq", work) }()
	first := <-fences
	go func() { endB <- holder(b, "b").Hold(ctxB, "pbx.hq", work) }()
	stopA()
	second := <-fences
	stopB()
	if err := errors.Join(<-endA, <-endB); err != nil || most.Load() != 1 || second <= first {
		t.Fatalf("most holders %d, fences %d then %d, %v", most.Load(), first, second, err)
	}
}

func TestALeaseThatIsTakenAwayEndsItsWork(t *testing.T) {
	b := open(t, topology.Leases)
	started := make(chan store.Lease, 2)
	lost := make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- holder(b, "a").Hold(ctx, "pbx.hq", func(ctx context.Context, l store.Lease) error {
			started <- l
			<-ctx.Done()
			lost <- context.Cause(ctx)
			return nil
		})
	}()
	l := <-started
	if left := time.Until(l.Until()); left <= time.Second || left > 2*time.Second {
		t.Fatalf("the lease ends in %v, want under 2 s", left)
	}
	// What a holder that slept past its TTL meets: somebody else's key.
	if _, err := b.Put(t.Context(), "pbx.hq", []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := <-lost; err == nil || errors.Is(err, context.Canceled) {
		t.Fatalf("the work ended with %v, want to be told that the lease was lost", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestADeadHoldersLeaseIsFreeAfterItsTTLAndARestartResumesItsOwnAtOnce(t *testing.T) {
	b := open(t, topology.Leases)
	if _, err := b.Put(t.Context(), "pbx.hq", []byte("dead")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, c := range []struct {
		holder string
		atOnce bool
	}{{"dead", true}, {"b", false}} {
		ctx, cancel := context.WithCancel(t.Context())
		err := holder(b, c.holder).Hold(ctx, "pbx.hq", func(context.Context, store.Lease) error { cancel(); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); c.atOnce && waited > time.Second {
			t.Fatalf("%s waited %v for its own lease", c.holder, waited)
		}
		if c.atOnce {
			if _, err := b.Put(t.Context(), "pbx.hq", []byte("dead")); err != nil {
				t.Fatal(err)
			}
			began = time.Now()
		} else if waited := time.Since(began); waited < time.Second {
			t.Fatalf("%s took a living lease after %v", c.holder, waited)
		}
	}
}

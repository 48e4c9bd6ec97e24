package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

const (
	pages = "m365.fact.contacts.contoso.*"
	anna  = "m365.fact.contacts.contoso.anna"
	ben   = "m365.fact.contacts.contoso.ben"
)

// reader keeps what Heads told.
type reader struct {
	mu   sync.Mutex // guards told
	told []uint64
}

// read runs Heads until the returned function ends it.
func read(t *testing.T, b *bus.Bus, r *reader) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- b.Heads(ctx, topology.Pages, "reader", []string{pages}, func(m bus.Message) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(m.Data) > 0 {
				return fmt.Errorf("the content of %d came with it", m.Sequence)
			}
			r.told = append(r.told, m.Sequence)
			return nil
		})
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; fault.KindOf(err) != fault.Cancelled {
			t.Error(err)
		}
	}
}

func (r *reader) eventually(t *testing.T, want ...uint64) {
	t.Helper()
	bustest.Eventually(t, 10*time.Second, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Equal(r.told, want) {
			return fmt.Sprintf("told of %v, want %v", r.told, want)
		}
		return ""
	})
}

func TestAQueueReadByHandKeepsWhatIsNotRemoved(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	one, two, three := publish(t, b, anna, "one"), publish(t, b, ben, "two"), publish(t, b, anna, "three")
	publish(t, b, "m365.fact.photo.contoso.anna", "somebody else's")
	var first reader
	stop := read(t, b, &first)
	first.eventually(t, one, two, three)
	four := publish(t, b, ben, "four")
	first.eventually(t, one, two, three, four)

	m, err := b.At(t.Context(), topology.Pages, two)
	if err != nil || string(m.Data) != "two" || m.Subject != ben || m.Sequence != two || m.Time.IsZero() {
		t.Fatalf("%+v, %v", m, err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := b.Remove(t.Context(), topology.Pages, two); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.At(t.Context(), topology.Pages, two); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("what was removed: %v, want not found", err)
	}
	if err := b.Remove(t.Context(), topology.Pages, four+100); err != nil {
		t.Fatalf("remove of what never was: %v", err)
	}
	stop()

	// Whoever begins anew is told of all that are left, and so is who takes over from a
	// reader that still runs.
	var second, third reader
	stop = read(t, b, &second)
	second.eventually(t, one, three, four)
	stopThird := read(t, b, &third)
	bustest.Eventually(t, 10*time.Second, func() string {
		third.mu.Lock()
		defer third.mu.Unlock()
		for _, sequence := range []uint64{one, three, four} {
			if !slices.Contains(third.told, sequence) {
				return fmt.Sprintf("told of %v", third.told)
			}
		}
		return ""
	})
	stop()
	stopThird()
}

func TestAQueueReadByHandIsReadAnewAfterAnOutage(t *testing.T) {
	server := bustest.Broker(t)
	b := bustest.Connect(t, server, "test")
	one := publish(t, b, anna, "one")
	var r reader
	stop := read(t, b, &r)
	defer stop()
	r.eventually(t, one)
	if err := b.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, one, one)
}

func TestWhatComesOfAFetchedMessageIsOneHopFurther(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	from := bus.Message{Hops: 2}
	if _, err := b.Publish(bus.After(t.Context(), from), bus.Message{Subject: anna, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	m, err := b.Last(t.Context(), topology.Pages, anna)
	if err != nil || m.Hops != 3 || !bytes.Equal(m.Data, []byte("x")) {
		t.Fatalf("%+v, %v", m, err)
	}
}

package pbx_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// several makes a System that sends one request at a time, of which each takes a second,
// and is busy with one.
func several(t *testing.T, of func(memory.Full) pbx.Driver) *setup {
	b := newSetupOf(t, 700, pbx.Options{Pace: pbx.Pace{InFlight: 1}}, of)
	b.answering(time.Second, nil)
	go func() { _ = b.SetStatus(t.Context(), "399", presence.DND) }()
	synctest.Wait()
	return b
}

func whole(d memory.Full) pbx.Driver { return d }

// read asks for statuses at the same time.
func (b *setup) read(ctx context.Context, exts ...identity.Extension) (await func() map[identity.Extension]error) {
	type answer struct {
		ext identity.Extension
		err error
	}
	answers := make(chan answer)
	for _, ext := range exts {
		go func() {
			got, err := b.Status(ctx, ext)
			if err == nil && got != presence.Available {
				err = errors.New("shows " + got.String())
			}
			answers <- answer{ext, err}
		}()
	}
	synctest.Wait()
	return func() map[identity.Extension]error {
		all := make(map[identity.Extension]error)
		for range exts {
			a := <-answers
			all[a.ext] = a.err
		}
		return all
	}
}

func TestReadingsThatWaitForTheirTurnAreOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := several(t, whole)
		await := b.read(t.Context(), "200", "201", "202", "999")
		for ext, err := range await() {
			if ext == "999" && fault.KindOf(err) != fault.NotFound || ext != "999" && err != nil {
				t.Errorf("%s: %v", ext, err)
			}
		}
		if sent := b.world.Requests(); sent != 2 {
			t.Errorf("one write and four readings that waited for it were %d requests", sent)
		}
		for range 2 { // one after the other they are as ever
			if err := b.read(t.Context(), "203")()["203"]; err != nil {
				t.Error(err)
			}
		}
		if sent := b.world.Requests(); sent != 4 {
			t.Errorf("with two readings by themselves there were %d requests", sent)
		}
	})
}

func TestNoMoreAreReadAtOnceThanTheDriverTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := several(t, whole)
		most := b.Capabilities().Several
		exts := make([]identity.Extension, most+1)
		for i := range exts {
			exts[i] = identity.Extension(strconv.Itoa(200 + i))
		}
		for ext, err := range b.read(t.Context(), exts...)() {
			if err != nil {
				t.Errorf("%s: %v", ext, err)
			}
		}
		if sent := b.world.Requests(); sent != 3 {
			t.Errorf("a write and %d readings, of which %d fit into a request, were %d requests", most+1, most, sent)
		}
	})
}

// Each reads before it writes, some at a time, as pbx-writer does.
func TestWhoWritesToManyReadsInFullRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := several(t, whole)
		most := b.Capabilities().Several
		const full = 7
		var g errgroup.Group
		g.SetLimit(most + most/2)
		for i := range full * most {
			ext := identity.Extension(strconv.Itoa(200 + i))
			g.Go(func() error {
				if _, err := b.Status(t.Context(), ext); err != nil {
					return err
				}
				return b.SetStatus(t.Context(), ext, presence.DND)
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if sent, least := b.world.Requests(), 1+full*most+full; sent > least+1 {
			t.Errorf("%d extensions were %d requests, which could be %d", full*most, sent, least)
		}
	})
}

func TestWhoReadsForOthersMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := several(t, whole)
		hasty, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		first := b.read(hasty, "200")
		others := b.read(t.Context(), "201", "202")
		if err := first()["200"]; fault.KindOf(err) != fault.Timeout {
			t.Errorf("whose time was over: %v", err)
		}
		for ext, err := range others() {
			if err != nil {
				t.Errorf("%s: %v", ext, err)
			}
		}
	})
}

// deaf refuses to read several at once.
type deaf struct{ memory.Full }

func (d deaf) StatusesOf(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error) {
	if _, err := d.Full.StatusesOf(ctx, exts); err != nil {
		return nil, err
	}
	return nil, fault.Errorf(fault.Unsupported, "deaf", "what is a filter?")
}

func TestAPhoneSystemThatCannotReadSeveralIsAskedSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := several(t, func(d memory.Full) pbx.Driver { return deaf{d} })
		for range 2 {
			for ext, err := range b.read(t.Context(), "200", "201", "202")() {
				if err != nil {
					t.Errorf("%s: %v", ext, err)
				}
			}
		}
		if sent := b.world.Requests(); sent != 1+1+3+3 {
			t.Errorf("a write, one attempt and six readings were %d requests", sent)
		}
	})
}

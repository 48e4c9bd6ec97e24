package pbx_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// hanging counts the pictures that were begun to be set, and says how many had been when
// a status was written.
type hanging struct {
	memory.Full
	begun    atomic.Int64
	atStatus atomic.Int64
}

func (d *hanging) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	d.begun.Add(1)
	return d.Full.SetPhoto(ctx, ext, image, mime)
}

func (d *hanging) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	d.atStatus.Store(d.begun.Load())
	return d.Full.SetStatus(ctx, ext, s)
}

// The photos of a whole company are set in the background, within the phone system's pace:
// a status takes the first turn that ends. In the same moment the other turn may end as
// well, hence one.
func TestPhotosNeverDelayAStatus(t *testing.T) {
	const photos, workers, every = 5_000, 16, 250 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		world := memory.NewPhoneSystem(directory.Extension{Number: "200"})
		var at, most atomic.Int64 // requests at once
		world.Intercept(func(_ context.Context, request func() error) error {
			for now := at.Add(1); ; {
				if is := most.Load(); now <= is || most.CompareAndSwap(is, now) {
					break
				}
			}
			defer at.Add(-1)
			time.Sleep(10 * time.Millisecond) // virtual
			return request()
		})
		driver := &hanging{Full: memory.Open(world, memory.Powers)}
		system, err := pbx.NewSystem("hq", driver, pbx.Options{Pace: pbx.Pace{InFlight: 2}})
		if err != nil {
			t.Fatal(err)
		}
		defer system.Close()

		work := make(chan string)
		var setting sync.WaitGroup
		for range workers {
			setting.Go(func() {
				for image := range work {
					if err := system.SetPhoto(t.Context(), "200", []byte(image), "image/png"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		setting.Go(func() {
			for i := range photos {
				work <- fmt.Sprint(i)
			}
			close(work)
		})
		statuses, worst := 0, int64(0)
		for driver.begun.Load() < photos-workers {
			time.Sleep(every) // virtual
			synctest.Wait()   // both turns are taken, the other workers queue
			before := driver.begun.Load()
			status := presence.DND
			if statuses%2 == 1 {
				status = presence.Available
			}
			if err := system.SetStatus(t.Context(), "200", status); err != nil {
				t.Error(err)
			}
			statuses++
			worst = max(worst, driver.atStatus.Load()-before)
		}
		setting.Wait()
		if worst > 1 {
			t.Errorf("%d photos were begun between a status and the phone system", worst)
		}
		if statuses < 50 || most.Load() != 2 {
			t.Errorf("%d statuses, at most %d requests at once: the photos were no load, or beyond the pace", statuses, most.Load())
		}
	})
}

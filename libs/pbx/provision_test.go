package pbx_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

// observed counts the entries that were begun to be made, and says how many had been
// when a status was written or an extension read.
type observed struct {
	memory.Full
	begun     atomic.Int64
	atStatus  atomic.Int64
	atInquiry atomic.Int64
}

func (d *observed) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
	d.begun.Add(1)
	return d.Full.CreateContact(ctx, owner, c)
}

func (d *observed) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	d.atStatus.Store(d.begun.Load())
	return d.Full.SetStatus(ctx, ext, s)
}

func (d *observed) Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
	d.atInquiry.Store(d.begun.Load())
	return d.Full.Extension(ctx, ext)
}

// An import of 100,000 contacts never gets between a status and the phone system: the
// status takes the first turn that ends. In the same moment the other turn may end as
// well, hence one. What is asked of an extension's entry, in the same lane as the
// import, has to wait for more: the measure can fail.
func TestAnImportOfContactsNeverDelaysAStatus(t *testing.T) {
	const contacts, workers, every = 100_000, 16, 250 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		world := memory.NewPhoneSystem(directory.Extension{Number: "200"})
		world.Intercept(func(_ context.Context, request func() error) error {
			time.Sleep(10 * time.Millisecond) // virtual
			return request()
		})
		driver := &observed{Full: memory.Open(world, memory.Powers)}
		system, err := pbx.NewSystem("hq", driver, pbx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer system.Close()

		work := make(chan int)
		var importing sync.WaitGroup
		for range workers {
			importing.Go(func() {
				for i := range work {
					if _, err := system.CreateContact(t.Context(), "", directory.Contact{Source: fmt.Sprint(i), LastName: "Abel"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		importing.Go(func() {
			for i := range contacts {
				work <- i
			}
			close(work)
		})
		statuses, waited, most := 0, 0, int64(0)
		for driver.begun.Load() < contacts-workers {
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
			most = max(most, driver.atStatus.Load()-before)
			synctest.Wait()
			before = driver.begun.Load()
			if _, err := system.Extension(t.Context(), "200"); err != nil {
				t.Error(err)
			}
			if driver.atInquiry.Load() > before+1 {
				waited++
			}
		}
		importing.Wait()
		if most > 1 {
			t.Errorf("%d contacts were begun between a status and the phone system", most)
		}
		if statuses < 100 || waited < statuses/2 {
			t.Errorf("%d statuses, of the inquiries between them %d waited: the import was no load", statuses, waited)
		}
		if n := len(world.Book("")); n != contacts {
			t.Errorf("%d entries arrived", n)
		}
	})
}

func TestWritesOfExtensionsAndBooksAreRepeatedAsStatusesAre(t *testing.T) {
	create := func(ctx context.Context, s *pbx.System) error {
		return s.CreateExtension(ctx, directory.Extension{Number: "500", Enabled: true})
	}
	taken := func(ctx context.Context, s *pbx.System) error {
		return s.CreateExtension(ctx, directory.Extension{Number: "200"})
	}
	enter := func(ctx context.Context, s *pbx.System) error {
		return second(s.CreateContact(ctx, "", directory.Contact{LastName: "Abel"}))
	}
	update := func(ctx context.Context, s *pbx.System) error {
		return s.UpdateExtension(ctx, "200", directory.Update{Fields: []directory.Field{directory.Mail}})
	}
	nothing := func(ctx context.Context, s *pbx.System) error {
		return s.UpdateExtension(ctx, "200", directory.Update{})
	}
	read := func(ctx context.Context, s *pbx.System) error { return second(s.Extension(ctx, "200")) }
	book := func(ctx context.Context, s *pbx.System) error {
		return s.Contacts(ctx, "", func(directory.Contact) error { return nil })
	}
	photo := func(ctx context.Context, s *pbx.System) error { return s.SetPhoto(ctx, "200", []byte{1}, "image/png") }
	for name, c := range map[string]struct {
		call     func(context.Context, *pbx.System) error
		refuse   func(int) error
		requests int
		kind     fault.Kind // 0: success
	}{
		"making an extension is repeated after it was turned away":  {create, first(2, closed), 3, 0},
		"making an extension is not repeated after a lost answer":   {create, first(1, lost), 1, fault.Timeout},
		"making an extension whose number is taken is not repeated": {taken, nil, 1, fault.Conflict},
		"making an entry is repeated after it was turned away":      {enter, first(2, closed), 3, 0},
		"making an entry is not repeated after a lost answer":       {enter, first(1, lost), 1, fault.Timeout},
		"a change is repeated after it was turned away":             {update, first(1, closed), 2, 0},
		"a change is not repeated after a lost answer":              {update, first(1, lost), 1, fault.Timeout},
		"a change of nothing is not sent":                           {nothing, always(lost), 0, 0},
		"a short delay that was asked for is kept":                  {enter, first(1, busy(4*time.Second)), 2, 0},
		"a long delay that was asked for is the caller's":           {enter, first(1, busy(time.Minute)), 1, fault.Throttled},
		"a read is repeated after a lost answer":                    {read, first(2, lost), 3, 0},
		"a book that was not begun is listed again":                 {book, first(1, closed), 2, 0},
		"a photo is not repeated after a lost answer":               {photo, first(1, lost), 1, fault.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 1, pbx.Options{})
				b.answering(10*time.Millisecond, c.refuse)
				err := c.call(t.Context(), b.System)
				if (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
					t.Errorf("got %v", err)
				}
				if n := b.world.Requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		})
	}
}

func TestAFullLicenceIsSaidThroughTheSystem(t *testing.T) {
	b := newSetup(t, 1, pbx.Options{})
	b.world.Room(0)
	err := b.CreateExtension(t.Context(), directory.Extension{Number: "500"})
	if fault.KindOf(err) != fault.Denied || !errors.Is(err, pbx.ErrLicenceFull) || b.world.Requests() != 1 {
		t.Errorf("%v after %d requests", err, b.world.Requests())
	}
}

func TestManyAreDeletedBatchAfterBatch(t *testing.T) {
	forbidden := memory.Refusal{Code: "forbidden"}
	for name, c := range map[string]struct {
		refuse   func(int) error
		requests int
		left     int // of 250
		kind     fault.Kind
	}{
		"all":                          {nil, 3, 0, 0},
		"the second batch is refused":  {func(n int) error { return map[int]error{2: forbidden}[n] }, 2, 150, fault.Denied},
		"the second batch is repeated": {func(n int) error { return map[int]error{2: closed}[n] }, 4, 0, 0},
		"an answer is lost":            {func(n int) error { return map[int]error{3: lost}[n] }, 3, 50, fault.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 250, pbx.Options{})
				var exts []identity.Extension
				var ids []string
				for i := range 250 {
					exts = append(exts, identity.Extension(fmt.Sprint(200+i)))
					ids = append(ids, b.world.Enter("", directory.Contact{LastName: "Abel"}))
				}
				verdict := func(failed int, err error, requests, left int) {
					t.Helper()
					if (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
						t.Errorf("ended with %v", err)
					}
					if failed != c.left || requests != c.requests || left != c.left {
						t.Errorf("%d are said to have failed and %d are left after %d requests: want %d after %d", failed, left, requests, c.left, c.requests)
					}
				}
				b.answering(10*time.Millisecond, c.refuse)
				people, err := b.DeleteExtensions(t.Context(), exts)
				left := 0
				for _, ext := range exts {
					if _, ok := b.world.Listed(ext); ok {
						left++
					}
				}
				verdict(len(people), err, b.world.Requests(), left)
				b.answering(10*time.Millisecond, c.refuse)
				before := b.world.Requests()
				entries, err := b.DeleteContacts(t.Context(), "", ids)
				verdict(len(entries), err, b.world.Requests()-before, len(b.world.Book("")))
			})
		})
	}
}

func TestWhatAlwaysTakesLongIsNoComplaint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 100, pbx.Options{Pace: pbx.Pace{InFlight: 8}})
		read := func() {
			b.answering(10*time.Millisecond, nil)
			b.most = 0
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() { _, _ = b.Status(t.Context(), "200") })
			}
			callers.Wait()
		}
		read()
		b.answering(2*time.Second, nil)
		for i := range 5 {
			if err := b.CreateExtension(t.Context(), directory.Extension{Number: identity.Extension(fmt.Sprint(500 + i))}); err != nil {
				t.Fatal(err)
			}
		}
		if read(); b.most != 8 {
			t.Errorf("after a few slow creations only %d statuses are read at a time", b.most)
		}
	})
}

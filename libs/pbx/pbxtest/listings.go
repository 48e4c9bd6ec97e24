package pbxtest

import (
	"context"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

func listingWhileChanging(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	all := h.Extensions()
	leaves, joins := []identity.Extension{all[0], all[2], all[len(all)-1]}, s.Free(1)[0]
	listed := make(map[identity.Extension]int)
	err := h.Driver().(pbx.Extensions).Extensions(t.Context(), func(e directory.Extension) error {
		if len(listed) == 0 {
			for _, ext := range leaves {
				s.Remove(ext)
			}
			s.create(t, s.sample(joins))
		}
		listed[e.Number]++
		return nil
	})
	if err != nil {
		t.Fatalf("extensions: %v", err)
	}
	for _, ext := range leaves {
		delete(listed, ext) // may be in it or not
	}
	delete(listed, joins)
	for _, ext := range all {
		if n := listed[ext]; n != 1 && ext != leaves[0] && ext != leaves[1] && ext != leaves[2] {
			t.Errorf("%s was there all the time and is listed %d times", ext, n)
		}
		delete(listed, ext)
	}
	if len(listed) > 0 {
		t.Errorf("also listed: %v", listed)
	}
}

func cancelledListing(t T, h Harness) {
	warm(t, h)
	lists := map[string]func(ctx context.Context, yield func() error) error{
		"statuses": func(ctx context.Context, yield func() error) error {
			return h.Driver().Statuses(ctx, func(identity.Extension, presence.Status) error { return yield() })
		},
	}
	if lister, ok := h.Driver().(pbx.Extensions); ok {
		lists["extensions"] = func(ctx context.Context, yield func() error) error {
			return lister.Extensions(ctx, func(directory.Extension) error { return yield() })
		}
	}
	total := map[string]int{"statuses": len(h.Extensions()), "extensions": len(h.Extensions())}
	if books, ok := h.(Books); ok && powers(h).Phonebook.Company {
		for range manyEntries {
			books.Enter("", directory.Contact{LastName: "Abel"})
		}
		total["contacts"] = manyEntries
		lists["contacts"] = func(ctx context.Context, yield func() error) error {
			return h.Driver().(pbx.Phonebook).Contacts(ctx, "", func(directory.Contact) error { return yield() })
		}
	}
	for what, list := range lists {
		cancelOne(t, h, what, total[what], list)
	}
}

// cancelOne cancels a listing at its first entry, from when on the phone system does
// not answer any more.
func cancelOne(t T, h Harness, what string, total int, list func(context.Context, func() error) error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result, listed := make(chan error, 1), 0
	go func() {
		result <- list(ctx, func() error {
			if listed++; listed == 1 {
				h.Inject(Hang)
				cancel()
			}
			return nil
		})
	}()
	select {
	case err := <-result:
		if listed < total || err != nil { // the rest may have been there already
			wantKind(t, err, fault.Cancelled, what)
		}
	case <-time.After(prompt):
		t.Errorf("%s: still listing %v after it was cancelled", what, prompt)
		h.Inject(None)
		<-result
	}
	h.Inject(None)
}

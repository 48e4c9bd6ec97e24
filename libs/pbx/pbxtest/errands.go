package pbxtest

import (
	"context"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// errand is one call, ready to be made once.
type errand struct {
	call  Call
	reads bool // and changes nothing
	run   func(context.Context) error
}

// errands are what can be done to extensions, none where the driver does not write them.
func (s staff) errands(t T, h Harness) []errand {
	there, fresh := h.Extensions()[0], directory.Extension{Number: s.Free(1)[0], Enabled: true}
	update := directory.Update{Fields: []directory.Field{directory.LastName}, To: directory.Extension{Fields: directory.Fields{LastName: "Ó Briain"}}}
	return []errand{
		{ReadExtension, true, func(ctx context.Context) error { _, err := s.Extension(ctx, there); return err }},
		{MakeExtension, false, func(ctx context.Context) error { return s.CreateExtension(ctx, fresh) }},
		{ChangeExtension, false, func(ctx context.Context) error { return s.UpdateExtension(ctx, there, update) }},
		{DeleteExtension, false, func(ctx context.Context) error { return whole(s.DeleteExtensions(ctx, h.Extensions()[3:4])) }},
	}
}

// errands are what can be done to each of the books, with an entry of ours in it.
func (s shelf) errands(t T) []errand {
	var all []errand
	for _, owner := range s.owners {
		c := s.enter(t, owner, s.sample("k1"))
		changed := c
		changed.LastName = "Changed"
		all = append(all,
			errand{ListEntries, true, func(ctx context.Context) error {
				return s.Contacts(ctx, owner, func(directory.Contact) error { return nil })
			}},
			errand{MakeEntry, false, func(ctx context.Context) error { _, err := s.CreateContact(ctx, owner, s.sample("k2")); return err }},
			errand{ChangeEntry, false, func(ctx context.Context) error { return s.UpdateContact(ctx, owner, changed) }},
			errand{DeleteEntry, false, func(ctx context.Context) error { return whole(s.DeleteContacts(ctx, owner, []string{c.ID})) }})
	}
	return all
}

// errands are one: a picture is set.
func (g gallery) errands(t T, h Harness) []errand {
	data, mime := g.picture(t, 2)
	return []errand{{SetPhoto, false, func(ctx context.Context) error { return g.SetPhoto(ctx, h.Extensions()[0], data, mime) }}}
}

// whole is why the only one of several was not done.
func whole[ID comparable](failed map[ID]error, err error) error {
	for _, why := range failed {
		err = why
	}
	return err
}

// about makes a case of a check of all errands of one power.
func about(check func(t T, h Harness, errands []errand), errands func(t T, h Harness) []errand) func(t T, h Harness) {
	return func(t T, h Harness) {
		if all := errands(t, h); len(all) > 0 {
			warm(t, h)
			check(t, h, all)
		}
	}
}

func extensionErrands(t T, h Harness) []errand {
	if s, ok := hired(h); ok {
		return s.errands(t, h)
	}
	return nil
}

// extensionErrandsOrList has the listing besides, for those too who can do no more.
func extensionErrandsOrList(t T, h Harness) []errand {
	all := extensionErrands(t, h)
	if lister, ok := h.Driver().(pbx.Extensions); ok {
		all = append(all, errand{listExtensions, true, func(ctx context.Context) error {
			return lister.Extensions(ctx, func(directory.Extension) error { return nil })
		}})
	}
	return all
}

func bookErrands(t T, h Harness) []errand {
	if s, ok := shelved(h); ok {
		return s.errands(t)
	}
	return nil
}

func photoErrands(t T, h Harness) []errand {
	if g, ok := hung(h); ok {
		return g.errands(t, h)
	}
	return nil
}

// costs are what the harness says of calls that are more than one request.
func costs(h Harness) map[Call]int {
	if h, ok := h.(Costs); ok {
		return h.Costs()
	}
	return nil
}

// asManyRequests holds each call to one request, or to what the harness says.
func asManyRequests(t T, h Harness, errands []errand) {
	for _, e := range errands {
		want, said := costs(h)[e.call]
		if !said {
			want = 1
		}
		before := h.Requests()
		if err := e.run(t.Context()); err != nil {
			t.Errorf("%s: %v", e.call, err)
		}
		if sent := h.Requests() - before; sent != want {
			t.Errorf("to %s was %d requests, not %d", e.call, sent, want)
		}
	}
}

func carryTheDelay(t T, h Harness, errands []errand) {
	h.Inject(Throttle)
	for _, e := range errands {
		err := e.run(t.Context())
		wantKind(t, err, fault.Throttled, string(e.call))
		if delay := fault.RetryAfter(err); delay < ThrottleDelay-time.Second || delay > ThrottleDelay {
			t.Errorf("%s: the phone system asked for %v, the error says %v", e.call, ThrottleDelay, delay)
		}
	}
}

func areDenied(t T, h Harness, errands []errand) {
	h.Inject(Deny)
	for _, e := range errands {
		before := h.Requests()
		if err := e.run(t.Context()); err != nil || h.Requests() > before { // who asks nobody is denied nothing
			wantKind(t, err, fault.Denied, string(e.call))
		}
	}
}

// areClassified: a read with a senseless answer is Unavailable. A write may have happened,
// and where it asks nothing first it is not met.
func areClassified(t T, h Harness, errands []errand) {
	h.Inject(Garbage)
	for _, e := range errands {
		before := h.Requests()
		err := e.run(t.Context())
		kind := fault.KindOf(err)
		switch {
		case e.reads && (err != nil || h.Requests() > before):
			wantKind(t, err, fault.Unavailable, string(e.call))
		case err != nil && kind != fault.Unavailable && kind != fault.Timeout:
			t.Errorf("%s: want an error that is unavailable or a timeout, got %v", e.call, describe(err))
		}
	}
}

package pbxtest

import (
	"context"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// statusReads are the calls that read statuses and what else of the phone system is asked
// for all the time.
func statusReads(t T, h Harness) []errand {
	ext, nothing := h.Extensions()[0], func(identity.Extension, presence.Status) error { return nil }
	all := []errand{
		{readStatus, true, func(ctx context.Context) error { _, err := h.Driver().Status(ctx, ext); return err }},
		{ListStatuses, true, func(ctx context.Context) error { return h.Driver().Statuses(ctx, nothing) }},
	}
	if driver, ok := h.Driver().(pbx.Several); ok {
		all = append(all, errand{readSeveral, true, func(ctx context.Context) error {
			_, err := driver.StatusesOf(ctx, h.Extensions()[:2])
			return err
		}})
	}
	return append(all, syncErrands(t, h)...)
}

// syncErrands are one: the phone system's own sync is read.
func syncErrands(_ T, h Harness) []errand {
	driver, ok := h.Driver().(pbx.NativeSync)
	if !ok {
		return nil // not declared: implementedIsDeclared sees to it
	}
	return []errand{{ReadSync, true, func(ctx context.Context) error { _, err := driver.NativeSync(ctx); return err }}}
}

// dialErrands are one: a number is dialled.
func dialErrands(_ T, h Harness) []errand {
	d, ok := dials(h)
	if !ok {
		return nil
	}
	return []errand{{DialNumber, false, func(ctx context.Context) error { return d.Dial(ctx, h.Extensions()[0], dialable[0]) }}}
}

// allReads are all calls that read.
func allReads(t T, h Harness) []errand {
	var reads []errand
	for _, e := range allErrands(t, h) {
		if e.reads {
			reads = append(reads, e)
		}
	}
	return reads
}

// allErrands are all calls that the driver knows, but SetStatus.
func allErrands(t T, h Harness) []errand {
	var all []errand
	for _, some := range []func(T, Harness) []errand{statusReads, extensionErrandsOrList, bookErrands, photoErrands, dialErrands} {
		all = append(all, some(t, h)...)
	}
	return all
}

// lookUp is how many requests dialling may be beside the order, and a listing beside what it
// reads of each: to find out from which phone, and who there is.
const lookUp = 1

// dialsOnce holds dialling to one request, or to what the harness says. Where it says
// nothing, the phone that is to call may be looked up before.
func dialsOnce(t T, h Harness, errands []errand) {
	most, said := costs(h)[DialNumber]
	if !said {
		most = lookUp + 1
	}
	for _, e := range errands {
		before := h.Requests()
		if err := e.run(t.Context()); err != nil {
			t.Errorf("%s: %v", e.call, err)
		}
		if sent := h.Requests() - before; sent > most || sent == 0 {
			t.Errorf("to %s was %d requests, not %d", e.call, sent, most)
		}
	}
}

// listsOnce holds a listing of statuses to one request a page where the harness says so,
// and else to as many as it takes to read who there is and then each of them, once.
func listsOnce(t T, h Harness) {
	warm(t, h)
	exact, said := costs(h)[ListStatuses]
	each, last, bursts, told := statusCost(t, h), h.Requests(), []int(nil), []int(nil)
	turn := func() {
		if sent := h.Requests() - last; sent > 0 {
			bursts, told = append(bursts, sent), append(told, 0)
		}
		last = h.Requests()
	}
	err := h.Driver().Statuses(t.Context(), func(identity.Extension, presence.Status) error {
		if turn(); len(told) > 0 {
			told[len(told)-1]++
		}
		return nil
	})
	if turn(); err != nil {
		t.Errorf("statuses: %v", err)
	}
	for i, sent := range bursts {
		if most := 1 + lookUp + told[i]*each; said && sent != exact || sent > most {
			t.Errorf("page %d, of %d extensions, was %d requests", i+1, told[i], sent)
		}
	}
}

// statusCost is how many requests it is to read one status.
func statusCost(t T, h Harness) int {
	before := h.Requests()
	if _, err := h.Driver().Status(t.Context(), h.Extensions()[0]); err != nil {
		t.Errorf("status: %v", err)
	}
	return h.Requests() - before
}

// readsOnce: a read whose first request was not answered as it should be ends there.
func readsOnce(t T, h Harness, errands []errand) {
	notRepeated(t, h, errands, Down, Throttle, Deny, Garbage)
}

// writesOnce is the same for what changes something. Why that is refused may be found out
// with more requests, so only what refuses everything is asked about.
func writesOnce(t T, h Harness, errands []errand) {
	notRepeated(t, h, errands, Down, Throttle)
}

// notRepeated meets each call with each fault. What a failure means is for those to decide
// who know whether it is worth another request. Before each the driver learns again what a
// session that was lost made it forget.
func notRepeated(t T, h Harness, errands []errand, faults ...Fault) {
	for _, f := range faults {
		for _, e := range errands {
			h.Inject(None)
			warm(t, h)
			h.Inject(f)
			before := h.Requests()
			err := e.run(t.Context())
			if sent := h.Requests() - before; err != nil && sent > 1 {
				t.Errorf("%s: to %s was sent %d times", f, e.call, sent)
			}
		}
	}
}

package memory

import (
	"context"
	"errors"
	"sync/atomic"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// Powers is what a PhoneSystem can do unless a test wants it to be poorer.
var Powers = presence.Powers{
	Write: presence.All,
	Read:  presence.All,
	Ring:  presence.SetOf(presence.Available, presence.Lunch),
}

var errClosed = errors.New("the driver is closed")

// driver implements pbx.Driver and every optional power. Open's result holds it to that,
// so that a power is not lost by a changed signature. It keeps nothing of what
// the phone system has: whoever asks wants to know how it is now. A real driver may
// keep what the protocol needs (a token, the internal ids of extensions), if it bears
// that this has become wrong.
type driver struct {
	system *PhoneSystem
	powers presence.Powers
	closed atomic.Bool
	done   chan struct{} // closed by Close
}

// Full is a driver with every power that there is. Who wraps one, to count or to break what
// single methods do, embeds it and loses none.
type Full interface {
	pbx.Driver
	pbx.Extensions
	pbx.ExtensionWriter
	pbx.Phonebook
	pbx.Photos
	pbx.NativeSync
	pbx.Watcher
	pbx.Dialer
	pbx.Several
}

// Open connects a driver to system. A real driver takes a Config and a context
// here, signs in, asks for the version and finds out what it can do; it fails
// with a classified error.
func Open(system *PhoneSystem, powers presence.Powers) Full {
	return &driver{system: system, powers: powers, done: make(chan struct{})}
}

// Capabilities is fixed when the driver is made. A method that is there and not declared
// here, or the other way round, is an error when the driver is opened: where a power
// depends on the licence or version, Open returns one of two types.
func (d *driver) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{
		Powers: d.powers, Version: "memory", Extensions: true, NativeSync: true, Dial: true, Several: batch,
		Watch:     pbx.WatchPowers{Calls: true, Status: true},
		Writer:    pbx.WriterPowers{Fields: fields, Limits: limits, Marker: pbx.ListedMarker, Batch: batch},
		Phonebook: pbx.PhonebookPowers{Company: true, Personal: true, Numbers: directory.NumberKinds(), Limits: bookLimits, Batch: batch},
		Photo:     pbx.PhotoPowers{Pixels: 512, Formats: []string{"image/jpeg", "image/png"}},
	}
}

// Status is one request. Whether an extension exists the phone system knows best: the
// driver does not ask first.
func (d *driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	var status presence.Status
	err := d.request(ctx, func() error {
		shown, ok := d.system.shown[ext]
		if !ok {
			return Refusal{Code: "no such extension"}
		}
		status = shown
		return nil
	})
	return status, classify("memory: status", err)
}

// StatusesOf is an optional power: one request, and who is not in it is not there.
func (d *driver) StatusesOf(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error) {
	found := make(map[identity.Extension]presence.Status, len(exts))
	err := d.request(ctx, func() error {
		for _, ext := range exts {
			if shown, ok := d.system.shown[ext]; ok {
				found[ext] = shown
			}
		}
		return nil
	})
	return found, classify("memory: statuses of some", err)
}

// SetStatus refuses what it has not declared before anything is sent. It does not look
// whether the status is there already: twice is once, and the caller has looked.
func (d *driver) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	const op = "memory: set status"
	if !d.powers.Write.Has(s) {
		return fault.Errorf(fault.Unsupported, op, "status %q cannot be written", s)
	}
	return written(op, d.request(ctx, func() error {
		if _, ok := d.system.shown[ext]; !ok {
			return Refusal{Code: "no such extension"}
		}
		d.system.show(ext, s)
		return nil
	}))
}

// pageSize is how many entries one request lists.
const pageSize = 100

// Statuses lists page by page. yield runs between requests, so that it may take
// its time, and its error is returned untouched: it is none of ours.
func (d *driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	return d.extensions(ctx, "memory: statuses", func(e directory.Extension, s presence.Status) error { return yield(e.Number, s) })
}

// Extensions is an optional power.
func (d *driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	return d.extensions(ctx, "memory: extensions", func(e directory.Extension, _ presence.Status) error { return yield(e) })
}

func (d *driver) extensions(ctx context.Context, op string, yield func(directory.Extension, presence.Status) error) error {
	type row struct {
		extension directory.Extension
		status    presence.Status
	}
	last := identity.Extension("")
	return pages(ctx, op, d.request, func() (page []row) {
		for _, e := range d.system.after(last, pageSize) {
			page = append(page, row{e, d.system.shown[e.Number]})
			last = e.Number
		}
		return page
	}, func(r row) error { return yield(r.extension, r.status) })
}

// pages lists what next returns, a page a request, until one is not full. Where to go
// on is the last entry of the page before and not how many there were: while somebody
// deletes entries, others must not be left out.
func pages[Row any](ctx context.Context, op string, request func(context.Context, func() error) error, next func() []Row, yield func(Row) error) error {
	for {
		var page []Row
		if err := request(ctx, func() error { page = next(); return nil }); err != nil {
			return classify(op, err)
		}
		for _, r := range page {
			if err := yield(r); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// NativeSync is an optional power.
func (d *driver) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	var state pbx.SyncState
	err := d.request(ctx, func() error {
		state = d.system.sync
		return nil
	})
	return state, classify("memory: native sync", err)
}

// Dial is an optional power. The order is not repeated, whatever comes of it: a phone
// would ring twice.
func (d *driver) Dial(ctx context.Context, ext identity.Extension, number string) error {
	const op = "memory: dial"
	if err := pbx.CheckDial(op, number); err != nil {
		return err
	}
	return written(op, d.request(ctx, func() error {
		if d.system.extensions[ext] == nil {
			return Refusal{Code: "no such extension"}
		}
		d.system.dialled[ext] = append(d.system.dialled[ext], number)
		return nil
	}))
}

// request is the one way to the phone system. A real driver keeps here what all
// requests share: the address, the credentials, the bound on what is read of an answer.
// If it has no deadline of its own, ctx has one; pbx.Punctual keeps HTTP to it.
func (d *driver) request(ctx context.Context, handle func() error) error {
	if d.closed.Load() {
		return errClosed
	}
	return d.system.request(ctx, handle)
}

// Close ends Watch, which its caller waits for. A real driver closes its connections too,
// and waits for the goroutines that it has started.
func (d *driver) Close() error {
	if !d.closed.Swap(true) {
		close(d.done)
	}
	return nil
}

// written is classify for what changes something. An answer that makes no sense leaves
// it open whether that has happened, which for a read makes no difference.
func written(op string, err error) error {
	if errors.Is(err, ErrGarbled) {
		return fault.New(fault.Timeout, op, err)
	}
	return classify(op, err)
}

// classify turns what the phone system said into a kind. It is the only place
// that knows the vendor's codes; everything above asks for the kind.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var refusal Refusal
	switch {
	case errors.As(err, &refusal):
		switch refusal.Code {
		case "no such extension", "no such contact":
			return fault.New(fault.NotFound, op, err)
		case "taken":
			return fault.New(fault.Conflict, op, err)
		case "licence full":
			return fault.Errorf(fault.Denied, op, "%w: %w", pbx.ErrLicenceFull, err)
		case "busy":
			return fault.After(fault.Throttled, op, refusal.Wait, err)
		case "forbidden":
			return fault.New(fault.Denied, op, err)
		case "closed": // for the night; nothing was done
			return fault.New(fault.Unavailable, op, err)
		}
		return fault.New(fault.Invalid, op, err)
	case errors.Is(err, ErrGarbled), errors.Is(err, errClosed), errors.Is(err, errCut):
		return fault.New(fault.Unavailable, op, err)
	case errors.Is(err, ErrLost): // done or not: whoever asked must look
		return fault.New(fault.Timeout, op, err)
	}
	return fault.New(fault.KindOf(err), op, err) // a context's error has its kind already
}

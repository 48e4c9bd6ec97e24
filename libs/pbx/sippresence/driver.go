package sippresence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// Powers of every presence server. A document routes no call, so what rings is
// what the status says to a person: available.
var powers = presence.Powers{
	Write: presence.All,
	Read:  presence.All,
	Ring:  presence.SetOf(presence.Available),
}

// driver implements pbx.Driver.
type driver struct {
	line     *line
	table    *table
	shortest atomic.Int64 // the Min-Expires that the server named, a time.Duration
	teller   teller
	until    atomic.Pointer[func() time.Time] // see Until; nil: for ever

	stop    context.CancelFunc // of the keeper
	kept    chan struct{}      // closed when the keeper has ended
	closing atomic.Bool        // who gets a row's turn now writes nothing any more
	close   func() error
}

// inventoried is a driver that was told its extensions. SIP presence has no
// directory to ask, so only then is there an inventory.
type inventoried struct{ *driver }

var (
	_ pbx.Driver     = (*driver)(nil)
	_ pbx.Extensions = inventoried{}
)

// Open makes a driver. It sends nothing: SIP has no session to sign in to, and a
// server that is down is met by the first call. Everything that is wrong with
// config is said at once, as an Invalid error. The driver lives until Close, not
// until ctx ends.
func Open(ctx context.Context, config Config) (pbx.Driver, error) {
	config, err := config.completed()
	if err != nil {
		return nil, fault.New(fault.Invalid, "sippresence: open", err)
	}
	kept := config.Publications
	if kept == nil {
		kept = forgetful{}
	}
	table, err := newTable(ctx, kept, config)
	if err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	life := context.WithoutCancel(ctx)
	line, err := newLine(life, config)
	if err != nil {
		return nil, errors.Join(fault.New(fault.Unknown, "sippresence: open", err), kept.Close())
	}
	d := &driver{line: line, table: table, kept: make(chan struct{}), teller: teller{told: make(map[fault.Kind]error)}}
	d.close = sync.OnceValue(d.shut)
	keeping, stop := context.WithCancel(life)
	d.stop = stop
	go d.keep(keeping)
	if len(config.Extensions) > 0 {
		return inventoried{d}, nil
	}
	return d, nil
}

// Capabilities is the same for every server. SIP has no way to ask for a version
// that all servers answer: see Server.
func (d *driver) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{Powers: powers, Volatile: true}
}

// longestName is how many bytes of a server's name are told: people read it.
const longestName = 80

// Server is what the server called itself in its answers, its product and version as a
// rule. It is "" before the first of them, and of a server that does not tell.
func (d *driver) Server() string {
	says := d.line.server.Load()
	if says == nil {
		return ""
	}
	plain := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, *says)
	name := strings.Join(strings.Fields(plain), " ")
	return strings.ToValidUTF8(name[:min(len(name), longestName)], "")
}

// Capabilities has the inventory beside it.
func (d inventoried) Capabilities() pbx.Capabilities {
	c := d.driver.Capabilities()
	c.Extensions = true
	return c
}

// Extensions lists what is configured, and sends nothing: that the server knows an
// extension is seen when its status is read or written.
func (d inventoried) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	const op = "sippresence: extensions"
	ctx, done, err := d.line.begin(ctx, op)
	if err != nil {
		return err
	}
	defer done()
	for _, ext := range d.line.config.Extensions {
		if ctx.Err() != nil {
			return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
		}
		if err := yield(directory.Extension{Number: ext, Enabled: true}); err != nil {
			return err
		}
	}
	return nil
}

// Status asks the server, by one SUBSCRIBE.
func (d *driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	return d.read(ctx, "sippresence: status", ext)
}

// read asks the server, and lets the lamp follow the answer.
func (d *driver) read(ctx context.Context, op string, ext identity.Extension) (presence.Status, error) {
	before := d.table.writes(ext)
	status, err := d.line.shown(ctx, op, ext)
	if err == nil {
		d.table.follow(ext, status, before)
	}
	return status, err
}

// Tell names who is told, once for each kind, what goes wrong where no caller waits for
// it: that the server refuses lamps, above all. tell must not block.
func (d *driver) Tell(tell func(error)) { d.teller.listen(tell) }

// Statuses asks for each extension that was published or is configured, one after
// the other. Those that the server does not know are left out.
func (d *driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	extensions := append(d.table.listed(), d.line.config.Extensions...)
	slices.Sort(extensions)
	for _, ext := range slices.Compact(extensions) {
		status, err := d.read(ctx, "sippresence: statuses", ext)
		if err != nil && fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if err := yield(ext, status); err != nil {
			return err
		}
	}
	return nil
}

// SetStatus publishes. The lamp follows: that it could not be shown is no failure of a
// write that has shown the status.
func (d *driver) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	const op = "sippresence: set status"
	if !powers.Write.Has(s) {
		return fault.Errorf(fault.Unsupported, op, "status %q cannot be written", s)
	}
	r := d.table.row(ext, Presence)
	if err := r.take(ctx); err != nil {
		return fault.New(fault.KindOf(err), op, context.Cause(ctx))
	}
	defer r.give()
	if d.closing.Load() {
		return fault.New(fault.Unavailable, op, errClosed)
	}
	next, err := d.publish(ctx, op, d.table.held(r), s)
	d.table.settle(r, next, err)
	return err
}

// Close ends the keeper and the connections. With Config.RemoveOnClose it first
// removes what is published, for at most five seconds.
func (d *driver) Close() error { return d.close() }

func (d *driver) shut() error {
	d.closing.Store(true)
	d.stop()
	<-d.kept
	return errors.Join(d.line.close(), d.table.kept.Close())
}

package pbx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Pace bounds how hard a phone system is worked.
type Pace struct {
	InFlight  int     // requests at a time; 0 means 2
	PerSecond float64 // requests a second at most; 0 means no fixed rate
}

// Options of a System. The zero value is good.
type Options struct {
	Pace   Pace
	Logger *slog.Logger // nil: silent
	Tracer trace.Tracer // nil: no spans
	Meter  metric.Meter // nil: no metrics
}

// System is one configured phone system: a Driver with everything around it that
// does not depend on its kind. Safe for concurrent use.
type System struct {
	id         identity.System
	driver     Driver
	extensions Extensions // nil: no such power, as the others
	writer     ExtensionWriter
	phonebook  Phonebook
	photos     Photos
	nativeSync NativeSync
	watcher    Watcher
	dialer     Dialer
	several    Several
	powers     Capabilities

	lanes     *lanes
	gathering gathering
	breaker   *breaker
	telemetry *telemetry
	watching  *watching
	log       *slog.Logger
	closing   chan struct{} // closed by close
	close     func() error
}

// A System is used like a Driver that also has every optional power, some of
// which answer Unsupported.
var (
	_ Driver          = (*System)(nil)
	_ Extensions      = (*System)(nil)
	_ ExtensionWriter = (*System)(nil)
	_ Phonebook       = (*System)(nil)
	_ Photos          = (*System)(nil)
	_ NativeSync      = (*System)(nil)
	_ Watcher         = (*System)(nil)
	_ Dialer          = (*System)(nil)
)

var (
	errOpen    = errors.New("the phone system has not answered for a while")
	errNoPower = errors.New("this kind of phone system cannot do that")
)

// ErrOvertaken is what a write ends with that was not repeated because it need not be
// any more. It has changed nothing.
var ErrOvertaken = errors.New("overtaken: something newer is to be written")

// NewSystem wraps driver, which belongs to the System from then on. It fails if
// the driver's declared powers are not those it implements.
func NewSystem(id identity.System, driver Driver, options Options) (*System, error) {
	if options.Pace.InFlight == 0 {
		options.Pace.InFlight = 2
	}
	if options.Pace.InFlight < 0 || options.Pace.PerSecond < 0 {
		return nil, fmt.Errorf("phone system %s: pace must not be negative", id)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &System{
		id: id, driver: driver, powers: driver.Capabilities(),
		lanes: newLanes(options.Pace), breaker: new(breaker), watching: newWatching(),
		log: options.Logger.With("system", string(id)), closing: make(chan struct{}),
	}
	if !s.discover() {
		return nil, fmt.Errorf("phone system %s: the driver %T declares %+v, which is not what it implements", id, driver, s.powers)
	}
	var err error
	if s.telemetry, err = newTelemetry(id, options.Tracer, options.Meter); err != nil {
		return nil, err
	}
	forget := func() error { return nil }
	if s.watcher != nil {
		if forget, err = s.telemetry.observe(s); err != nil {
			return nil, err
		}
	}
	if why := s.powers.NoWatch; why != "" {
		s.log.Warn("the calls of the phone system cannot be watched; statuses are read all the same", "reason", why)
	}
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		return errors.Join(driver.Close(), forget())
	})
	return s, nil
}

// discover finds the driver's optional powers, once and for all, and says whether
// they are those that it declares.
func (s *System) discover() bool {
	s.extensions, _ = s.driver.(Extensions)
	s.writer, _ = s.driver.(ExtensionWriter)
	s.phonebook, _ = s.driver.(Phonebook)
	s.photos, _ = s.driver.(Photos)
	s.nativeSync, _ = s.driver.(NativeSync)
	s.watcher, _ = s.driver.(Watcher)
	s.dialer, _ = s.driver.(Dialer)
	s.several, _ = s.driver.(Several)
	return s.powers.Extensions == (s.extensions != nil) &&
		s.powers.Writer.Any() == (s.writer != nil) &&
		s.powers.Phonebook.Any() == (s.phonebook != nil) &&
		s.powers.Photo.Any() == (s.photos != nil) &&
		s.powers.NativeSync == (s.nativeSync != nil) &&
		s.powers.Watch.Any() == (s.watcher != nil) &&
		s.powers.Dial == (s.dialer != nil) &&
		s.powers.Several > 0 == (s.several != nil)
}

// ID returns the configured id.
func (s *System) ID() identity.System { return s.id }

// Capabilities returns what the driver declared when the System was made.
func (s *System) Capabilities() Capabilities { return s.powers }

// Generation grows each time the phone system answers after it was unreachable:
// it may have restarted and lost what was written last. The first read that
// returns with a new generation is the first after such a restart.
func (s *System) Generation() uint64 { return s.breaker.generationNow() }

// Resting says whether calls are kept away from the phone system because several in a row
// had no answer, but for one now and then that finds out whether it is back.
func (s *System) Resting() bool { return s.breaker.open() }

// Status is Driver.Status. Where the driver has the power Several, those that wait for
// their turn at the same time are read with one request.
func (s *System) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	if s.Together() {
		return s.statusWithOthers(ctx, ext)
	}
	return s.statusAlone(ctx, ext)
}

func (s *System) statusAlone(ctx context.Context, ext identity.Extension) (status presence.Status, err error) {
	err = s.do(ctx, call{op: "status", ext: ext, lane: urgent}, func(ctx context.Context) error {
		status, err = s.driver.Status(ctx, ext)
		return err
	})
	return status, err
}

// SetStatus is Driver.SetStatus. A write that ended in Timeout is not repeated
// here: read first.
func (s *System) SetStatus(ctx context.Context, ext identity.Extension, status presence.Status) error {
	return s.SetStatusUnless(ctx, ext, status, nil)
}

// SetStatusUnless is SetStatus that is not repeated once overtaken says so: it ends
// with ErrOvertaken then. A phone system that comes back is not made to take what is
// old first. Its first try is always made, so that somebody who changes faster than
// the phone system answers is not left out.
func (s *System) SetStatusUnless(ctx context.Context, ext identity.Extension, status presence.Status, overtaken func() bool) error {
	if !s.powers.Powers.Write.Has(status) {
		return fault.Errorf(fault.Unsupported, s.named("set-status"), "status %q is not among those that can be written (%v)",
			status, s.powers.Powers.Write.Slice())
	}
	return s.do(ctx, call{op: "set-status", ext: ext, lane: urgent, write: true, overtaken: overtaken}, func(ctx context.Context) error {
		return s.driver.SetStatus(ctx, ext, status)
	})
}

// Statuses is Driver.Statuses. yield may take its time: whenever writes wait, the
// listing gives up its turn between two extensions and queues again.
func (s *System) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	in := survey
	if s.Together() {
		in = bulk // nothing has to be known from it that is not read as cheaply
	}
	return s.list(ctx, "statuses", in, func(ctx context.Context, item func(func() error) error) error {
		return s.driver.Statuses(ctx, func(ext identity.Extension, status presence.Status) error {
			return item(func() error { return yield(ext, status) })
		})
	})
}

// NativeSync is the optional power NativeSync; Unsupported without it.
func (s *System) NativeSync(ctx context.Context) (state SyncState, err error) {
	if s.nativeSync == nil {
		return SyncState{}, fault.New(fault.Unsupported, s.named("native-sync"), errNoPower)
	}
	err = s.do(ctx, call{op: "native-sync", lane: bulk}, func(ctx context.Context) error {
		state, err = s.nativeSync.NativeSync(ctx)
		return err
	})
	return state, err
}

// Close closes the driver, once, and ends Watch.
func (s *System) Close() error { return s.close() }

// named prefixes an operation for errors: "hq: set-status".
func (s *System) named(op string) string { return string(s.id) + ": " + op }

package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"offhook.dev/libs/pbx"
)

// errTwoMasters is the health of a system that nothing is written to.
var errTwoMasters = errors.New("its own Microsoft 365 sync sets statuses too: nothing is written until that is switched off, or options.ignore_native_sync is set")

// alone returns when the phone system's own Microsoft 365 sync sets no statuses, or
// ctx ends. Two masters would undo each other's work for ever, so the phone
// system's goes first unless the administrator says otherwise. The health says why
// nothing is written, for as long as that is so: each other part of the system is well.
func (s *system) alone(ctx context.Context, part string) error {
	if s.conf.IgnoreNativeSync || !s.pbx.Capabilities().NativeSync {
		return nil
	}
	defer s.w.deps.Health.Set(part, nil) // of a system that is another's by then, too
	said := ""
	for {
		bounded, cancel := s.held(ctx)
		why := notAlone(s.pbx.NativeSync(bounded))
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case why == nil:
			if said != "" {
				s.log.Info("phone system: its own Microsoft 365 sync sets no statuses, and they are written from now on")
			}
			return nil
		case why.Error() != said:
			said = why.Error()
			s.w.deps.Health.Set(part, why)
			s.log.Warn("phone system", "error", why)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.w.opts.MinutePass):
		}
	}
}

// notAlone is why nothing may be written, by what was read of the sync; nil if nothing speaks
// against it.
func notAlone(state pbx.SyncState, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("whether its own Microsoft 365 sync sets statuses cannot be read: nothing is written until it can be, or options.ignore_native_sync is set: %w", err)
	case state.Statuses():
		return errTwoMasters
	}
	return nil
}

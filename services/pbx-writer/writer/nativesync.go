package writer

import (
	"context"
	"errors"
	"time"

	"offhook.dev/libs/core/fault"
)

// errTwoMasters is the health of a system that nothing is written to.
var errTwoMasters = errors.New("its own Microsoft 365 sync sets statuses too: nothing is written until that is switched off, or options.ignore_native_sync is set")

// alone returns when the phone system's own Microsoft 365 sync sets no statuses, or
// ctx ends. Two masters would undo each other's work for ever, so the phone
// system's goes first unless the administrator says otherwise.
func (s *system) alone(ctx context.Context, part string) error {
	if s.conf.IgnoreNativeSync || !s.pbx.Capabilities().NativeSync {
		return nil
	}
	told := false
	for {
		bounded, cancel := s.held(ctx)
		state, err := s.pbx.NativeSync(bounded)
		cancel()
		switch {
		case err == nil && !state.Statuses():
			if told {
				s.w.deps.Health.Set(part, nil)
				s.log.Info("phone system: its own Microsoft 365 sync sets no statuses any more")
			}
			return nil
		case err == nil && !told:
			told = true
			s.w.deps.Health.Set(part, errTwoMasters)
			s.log.Warn("phone system", "error", errTwoMasters)
		case err != nil && ctx.Err() == nil:
			s.log.Warn("phone system: whether its own Microsoft 365 sync is on", "kind", fault.KindOf(err), "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.w.opts.MinutePass):
		}
	}
}

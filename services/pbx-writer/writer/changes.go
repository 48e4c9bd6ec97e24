package writer

import (
	"context"
	"errors"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// changesAtOnce is how many changes are worked on side by side. The phone system's
	// pace decides how many requests that makes; a status goes before all of them.
	changesAtOnce = 4
	// changeTries is how often a change that fails in a way that may pass, other than by
	// the phone system being away, is tried: about half an hour.
	changeTries = 20
)

// changes carries out what extensions, photos and phonebooks should be, one after the
// other for each of them, until ctx ends.
func (s *system) changes(ctx context.Context) error {
	var filters []string
	for _, kind := range []string{"extension.<system>.<ext>", "photo.<system>.<ext>", "contact.<system>.<owner>.<chunk>"} {
		filters = append(filters, topology.Wildcard("pbx.want."+strings.ReplaceAll(kind, "<system>", topology.Token(string(s.id)))))
	}
	return s.w.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Changes, Durable: "pbx-writer-" + string(s.id) + "-bulk", NewestOnly: true, Filters: filters,
		InFlight: 4 * changesAtOnce, Workers: changesAtOnce, Patience: 10 * time.Minute,
	}, func(ctx context.Context, m bus.Message) error {
		ctx, cancel := s.held(ctx)
		defer cancel()
		s.inBulk.Add(1)
		defer s.inBulk.Add(-1)
		switch {
		case strings.HasPrefix(m.Subject, "pbx.want.extension."):
			want, err := wire.DecodeExtensionWant(m.Data)
			if err != nil {
				return err
			}
			return s.changeExtension(ctx, want, m.Delivered)
		case strings.HasPrefix(m.Subject, "pbx.want.photo."):
			want, err := wire.DecodePhotoWant(m.Data)
			if err != nil {
				return err
			}
			return s.changePhoto(ctx, want, m.Delivered)
		}
		want, err := wire.DecodeContactsWant(m.Data)
		if err != nil {
			return err
		}
		return s.changeBook(ctx, want, m.Delivered)
	})
}

// settled says what a driver's error means for a change: a result that is final, or none
// and the error, which is to be tried again. Who reads the error may be shown it.
func settled(err error, delivered uint64) (wire.ChangeResult, error) {
	switch {
	case err == nil:
		return wire.ChangeDone, nil
	case errors.Is(err, pbx.ErrLicenceFull):
		return wire.ChangeFull, nil
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Unsupported:
		return wire.ChangeRefused, nil
	case fault.NotFound, fault.Gone:
		return wire.ChangeForeign, nil
	case fault.Timeout, fault.Unknown, fault.Conflict:
		if delivered >= changeTries {
			return wire.ChangeFailed, nil
		}
	}
	return "", err
}

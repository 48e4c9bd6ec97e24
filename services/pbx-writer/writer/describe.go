package writer

import (
	"context"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/wire"
)

// describe publishes what the phone system takes of people and phonebooks. It comes
// after the extensions of a listing that began at listed, so that who has it has them.
func (s *system) describe(ctx context.Context, listed time.Time) error {
	kept, err := s.masters(ctx)
	if err != nil {
		return err
	}
	s.kept.Store(&kept)
	can := s.pbx.Capabilities()
	return s.w.publish(ctx, wire.System{
		System: s.id, Version: can.Version, ListedAt: listed, Fields: can.Writer.Fields, Photo: can.Photo.Pixels,
		CompanyBook: can.Phonebook.Company, PersonalBooks: can.Phonebook.Personal, Numbers: can.Phonebook.Numbers,
		Limits: can.Writer.Limits, BookLimits: can.Phonebook.Limits,
		ExtensionsKept: kept.Extensions(), BooksKept: kept.Books(), SeenAt: s.w.bus.Now(),
	}, "")
}

// masters says what the phone system's own Microsoft 365 sync does, as far as that keeps
// Offhook from doing it.
func (s *system) masters(ctx context.Context) (pbx.SyncState, error) {
	if s.conf.IgnoreNativeSync || !s.pbx.Capabilities().NativeSync {
		return pbx.SyncState{}, nil
	}
	state, err := s.pbx.NativeSync(ctx)
	if fault.KindOf(err) == fault.Unsupported {
		return pbx.SyncState{}, nil
	}
	return state, err
}

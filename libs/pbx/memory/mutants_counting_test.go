package memory

import (
	"context"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// again does something once more where it was turned away, as whoever adds "just one retry".
func again(do func() error) error {
	err := do()
	if err != nil && fault.KindOf(err) == fault.Unavailable {
		err = do()
	}
	return err
}

// countingMutants send more than they need.
func countingMutants() map[string]func(Full) mutant {
	return map[string]func(Full) mutant{
		"a listing of statuses asks for nothing twice": func(d Full) mutant {
			return mutant{Full: d, statuses: func(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
				err := d.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil }) // how many are there?
				if err != nil {
					return err
				}
				return d.Statuses(ctx, yield)
			}}
		},
		"the phone system's own sync is one request, or as many as is said": func(d Full) mutant {
			return mutant{Full: d, native: func(ctx context.Context) (pbx.SyncState, error) {
				if state, err := d.NativeSync(ctx); err != nil {
					return state, err
				}
				return d.NativeSync(ctx)
			}}
		},
		"dialling is one request, or as many as is said": func(d Full) mutant {
			return mutant{Full: d, dial: func(ctx context.Context, ext identity.Extension, number string) error {
				err := d.Dial(ctx, ext, number)
				for range 2 { // does it ring yet?
					if err == nil {
						_, err = d.Status(ctx, ext)
					}
				}
				return err
			}}
		},
		"dialling that failed is not repeated": func(d Full) mutant {
			return mutant{Full: d, dial: func(ctx context.Context, ext identity.Extension, number string) error {
				return again(func() error { return d.Dial(ctx, ext, number) })
			}}
		},
		"a failed read is not repeated": func(d Full) mutant {
			return mutant{Full: d, native: func(ctx context.Context) (state pbx.SyncState, err error) {
				err = again(func() error { state, err = d.NativeSync(ctx); return err })
				return state, err
			}}
		},
		"a failed call about an extension is not repeated": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				return again(func() error { return d.UpdateExtension(ctx, ext, u) })
			})
		},
		"a failed call about an entry is not repeated": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				return again(func() error { return d.UpdateContact(ctx, owner, c) })
			})
		},
		"a photo that was not taken is not sent again": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				return again(func() error { return d.SetPhoto(ctx, ext, image, mime) })
			})
		},
	}
}

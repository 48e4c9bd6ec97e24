package pbx

import (
	"context"
	"slices"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Photos is the power to show a picture of whom an extension belongs to.
type Photos interface {
	// SetPhoto makes image, a picture of the MIME type mime, the extension's; an empty
	// image removes it, whatever mime is. Twice is once. NotFound: there is no such
	// extension. A type outside PhotoPowers.Formats is Unsupported and never sent; a
	// picture larger than PhotoPowers.Pixels is the caller's mistake (Invalid).
	SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error
}

// PhotoPowers is what a driver's Photos takes; the zero value where it is none.
type PhotoPowers struct {
	Pixels  int      `json:"pixels,omitempty"`  // the most of either side
	Formats []string `json:"formats,omitempty"` // MIME types, the best first
}

// Any says whether there is Photos.
func (p PhotoPowers) Any() bool { return len(p.Formats) > 0 }

// SetPhoto is the optional power Photos; Unsupported without it.
func (s *System) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	const op = "set-photo"
	switch {
	case s.photos == nil:
		return fault.New(fault.Unsupported, s.named(op), errNoPower)
	case len(image) > 0 && !slices.Contains(s.powers.Photo.Formats, mime):
		return fault.Errorf(fault.Unsupported, s.named(op), "a picture of the type %q is none of %v", mime, s.powers.Photo.Formats)
	}
	return s.do(ctx, call{op: op, ext: ext, lane: bulk, write: true}, func(ctx context.Context) error {
		return s.photos.SetPhoto(ctx, ext, image, mime)
	})
}

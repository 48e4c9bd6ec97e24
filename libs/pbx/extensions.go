package pbx

import (
	"context"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Extensions is the power to list the inventory of a phone system.
type Extensions interface {
	// Extensions calls yield once for each extension, under the rules of
	// Driver.Statuses. Markers are only in it where Marker of WriterPowers says so.
	Extensions(ctx context.Context, yield func(directory.Extension) error) error
}

// ExtensionWriter is the power to make, change and delete extensions. Writes to one
// extension at the same time have no order: its caller sends one after another.
//
// Texts arrive as they were given, or the write is Invalid and changes nothing: they
// are never cut.
type ExtensionWriter interface {
	// Extension reads one extension, with its marker: NotFound if there is none.
	Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error)

	// CreateExtension makes an extension under e.Number, enabled or not, with its
	// marker and those fields of e that can be written; whatever else an extension
	// has is the phone system's own choice. A department that does not exist is made.
	//
	// Conflict: the number is taken, by an extension or by anything else, and what
	// has it is unchanged. Denied with ErrLicenceFull: see there. After Timeout the
	// extension may be there, whole or without its marker; the caller reads before
	// it asks again, and completes what is its own with UpdateExtension.
	CreateExtension(ctx context.Context, e directory.Extension) error

	// UpdateExtension changes the fields that u names, and the marker where u.To has
	// one; everything else stays as it is. Twice is once. A field that cannot be
	// written is Unsupported, and then nothing is sent. An empty department takes the
	// extension out of its department; one that does not exist is made.
	UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error

	// DeleteExtensions deletes up to WriterPowers.Batch extensions; more are Invalid.
	// failed says why one was not deleted: NotFound if it was not there. One that is
	// not in it is gone. With an error failed is nil, and the error's kind is true of
	// each of them.
	DeleteExtensions(ctx context.Context, exts []identity.Extension) (failed map[identity.Extension]error, err error)
}

// WriterPowers is what a driver's ExtensionWriter can do; the zero value where it is
// none.
type WriterPowers struct {
	// Fields are those that can be written. The others are read at most.
	Fields []directory.Field `json:"fields,omitempty"`
	// Limits is how many characters (code points) are taken of a field that is a text. One
	// that is not named takes as many as there are. What is longer may be refused.
	Limits map[directory.Field]int `json:"limits,omitempty"`
	// Marker says where markers are kept and told: see MarkerPlace.
	Marker MarkerPlace `json:"marker,omitempty"`
	// Batch is how many extensions DeleteExtensions takes at a time.
	Batch int `json:"batch,omitempty"`
}

// MarkerPlace says what a phone system does with directory.Extension.Marker.
type MarkerPlace string

// The places.
const (
	NoMarker     MarkerPlace = ""       // nothing: it is dropped
	SingleMarker MarkerPlace = "single" // kept, and told by Extension only
	ListedMarker MarkerPlace = "listed" // kept, and told by Extensions too
)

// Any says whether there is an ExtensionWriter.
func (p WriterPowers) Any() bool { return len(p.Fields) > 0 }

// Has says whether a field can be written.
func (p WriterPowers) Has(f directory.Field) bool { return slices.Contains(p.Fields, f) }

// Extensions is the optional power Extensions; Unsupported without it.
func (s *System) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	if s.extensions == nil {
		return fault.New(fault.Unsupported, s.named("extensions"), errNoPower)
	}
	return s.list(ctx, "extensions", bulk, func(ctx context.Context, item func(func() error) error) error {
		return s.extensions.Extensions(ctx, func(extension directory.Extension) error {
			return item(func() error { return yield(extension) })
		})
	})
}

// Extension is ExtensionWriter.Extension; Unsupported without that power.
func (s *System) Extension(ctx context.Context, ext identity.Extension) (e directory.Extension, err error) {
	if s.writer == nil {
		return directory.Extension{}, fault.New(fault.Unsupported, s.named("extension"), errNoPower)
	}
	err = s.do(ctx, call{op: "extension", ext: ext, lane: bulk}, func(ctx context.Context) error {
		e, err = s.writer.Extension(ctx, ext)
		return err
	})
	return e, err
}

// CreateExtension is ExtensionWriter.CreateExtension; Unsupported without that
// power. A creation that ended in Timeout is not repeated here: read first.
func (s *System) CreateExtension(ctx context.Context, e directory.Extension) error {
	if s.writer == nil {
		return fault.New(fault.Unsupported, s.named("create-extension"), errNoPower)
	}
	return s.do(ctx, call{op: "create-extension", ext: e.Number, lane: bulk, write: true}, func(ctx context.Context) error {
		return s.writer.CreateExtension(ctx, e)
	})
}

// UpdateExtension is ExtensionWriter.UpdateExtension; Unsupported without that
// power. Where nothing is to be changed nothing is sent.
func (s *System) UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error {
	const op = "update-extension"
	if s.writer == nil {
		return fault.New(fault.Unsupported, s.named(op), errNoPower)
	}
	for _, field := range u.Fields {
		if !s.powers.Writer.Has(field) {
			return fault.Errorf(fault.Unsupported, s.named(op), "%q is not among the fields that can be written (%v)", field, s.powers.Writer.Fields)
		}
	}
	if len(u.Fields) == 0 && (u.To.Marker == "" || s.powers.Writer.Marker == NoMarker) {
		return nil
	}
	return s.do(ctx, call{op: op, ext: ext, lane: bulk, write: true}, func(ctx context.Context) error {
		return s.writer.UpdateExtension(ctx, ext, u)
	})
}

// DeleteExtensions is ExtensionWriter.DeleteExtensions for any number of extensions,
// batch after batch; Unsupported without that power. Here failed is complete also
// with an error, which ended the work: those that it left undone are in failed too.
func (s *System) DeleteExtensions(ctx context.Context, exts []identity.Extension) (failed map[identity.Extension]error, err error) {
	if s.writer == nil {
		return inBatches(exts, 0, func([]identity.Extension) (map[identity.Extension]error, error) {
			return nil, fault.New(fault.Unsupported, s.named("delete-extensions"), errNoPower)
		})
	}
	return inBatches(exts, s.powers.Writer.Batch, func(some []identity.Extension) (failed map[identity.Extension]error, err error) {
		err = s.do(ctx, call{op: "delete-extensions", lane: bulk, write: true, batch: true}, func(ctx context.Context) error {
			failed, err = s.writer.DeleteExtensions(ctx, some)
			return err
		})
		return failed, err
	})
}

// inBatches removes ids, at most size at a time (0: all at once). Between two batches
// others have their turn.
func inBatches[ID comparable](ids []ID, size int, remove func([]ID) (map[ID]error, error)) (map[ID]error, error) {
	failed := make(map[ID]error)
	for begin := 0; begin < len(ids); {
		end := len(ids)
		if size > 0 {
			end = min(begin+size, end)
		}
		some, err := remove(ids[begin:end])
		if err != nil {
			for _, id := range ids[begin:] {
				failed[id] = err
			}
			return failed, err
		}
		for id, why := range some {
			failed[id] = why
		}
		begin = end
	}
	return failed, nil
}

package memory

import (
	"context"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// fields are all that there are: this phone system derives nothing.
var fields = []directory.Field{directory.FirstName, directory.LastName, directory.DisplayName, directory.Mail, directory.Mobile,
	directory.CallerID, directory.Department, directory.Language, directory.SignIn, directory.Enabled}

// batch is how many deletions one request carries.
const batch = 100

// Extension is an optional power, with the three below. It is one request.
func (d *driver) Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
	var found directory.Extension
	err := d.request(ctx, func() error {
		e := d.system.extensions[ext]
		if e == nil {
			return Refusal{Code: "no such extension"}
		}
		found = *e
		return nil
	})
	return found, classify("memory: extension", err)
}

// CreateExtension leaves the decision whether the number is free and the licence
// suffices to the phone system: to ask first would be to ask about the past.
func (d *driver) CreateExtension(ctx context.Context, e directory.Extension) error {
	return written("memory: create extension", d.request(ctx, func() error {
		switch {
		case d.system.extensions[e.Number] != nil:
			return Refusal{Code: "taken"}
		case d.system.full():
			return Refusal{Code: "licence full"}
		}
		if err := roomForExtension(e); err != nil {
			return err
		}
		d.system.add(e)
		return nil
	}))
}

// UpdateExtension sends what changes and nothing else.
func (d *driver) UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error {
	const op = "memory: update extension"
	changed, err := change(op, u)
	if err != nil {
		return err
	}
	return written(op, d.request(ctx, func() error {
		e := d.system.extensions[ext]
		if e == nil {
			return Refusal{Code: "no such extension"}
		}
		next := *e
		changed(&next)
		if err := roomForExtension(next); err != nil {
			return err
		}
		*e = next
		return nil
	}))
}

// change makes a function of an update that carries it out.
func change(op string, u directory.Update) (func(*directory.Extension), error) {
	var steps []func(*directory.Extension)
	for _, field := range u.Fields {
		step := map[directory.Field]func(*directory.Extension){
			directory.FirstName:   func(e *directory.Extension) { e.FirstName = u.To.FirstName },
			directory.LastName:    func(e *directory.Extension) { e.LastName = u.To.LastName },
			directory.DisplayName: func(e *directory.Extension) { e.DisplayName = u.To.DisplayName },
			directory.Mail:        func(e *directory.Extension) { e.Mail = u.To.Mail },
			directory.Mobile:      func(e *directory.Extension) { e.Mobile = u.To.Mobile },
			directory.CallerID:    func(e *directory.Extension) { e.CallerID = u.To.CallerID },
			directory.Department:  func(e *directory.Extension) { e.Department = u.To.Department },
			directory.Language:    func(e *directory.Extension) { e.Language = u.To.Language },
			directory.SignIn:      func(e *directory.Extension) { e.SignIn = u.To.SignIn },
			directory.Enabled:     func(e *directory.Extension) { e.Enabled = u.To.Enabled },
		}[field]
		if step == nil {
			return nil, fault.Errorf(fault.Unsupported, op, "the field %q cannot be written", field)
		}
		steps = append(steps, step)
	}
	return func(e *directory.Extension) {
		for _, step := range steps {
			step(e)
		}
		if u.To.Marker != "" {
			e.Marker = u.To.Marker
		}
	}, nil
}

// DeleteExtensions is one request, in which each extension succeeds or fails by
// itself.
func (d *driver) DeleteExtensions(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
	const op = "memory: delete extensions"
	if len(exts) > batch {
		return nil, fault.Errorf(fault.Invalid, op, "%d extensions at once: %d are the most", len(exts), batch)
	}
	failed := make(map[identity.Extension]error)
	err := d.request(ctx, func() error {
		for _, ext := range exts {
			switch {
			case d.system.extensions[ext] == nil:
				failed[ext] = classify(op, Refusal{Code: "no such extension"})
			case d.system.kept[ext]:
				failed[ext] = classify(op, Refusal{Code: "needed"})
			default:
				d.system.remove(ext)
			}
		}
		return nil
	})
	if err != nil {
		return nil, written(op, err)
	}
	return failed, nil
}

// SetPhoto is an optional power.
func (d *driver) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	const op = "memory: set photo"
	if len(image) > 0 && mime != "image/jpeg" && mime != "image/png" {
		return fault.Errorf(fault.Unsupported, op, "pictures of the type %q are not taken", mime)
	}
	return written(op, d.request(ctx, func() error {
		if d.system.extensions[ext] == nil {
			return Refusal{Code: "no such extension"}
		}
		d.system.photos[ext] = append([]byte(nil), image...)
		return nil
	}))
}

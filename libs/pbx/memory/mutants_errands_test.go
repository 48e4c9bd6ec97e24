package memory

import (
	"context"
	"errors"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// errandMutants break how calls about extensions, entries and photos fail, and how many
// requests they are.
func errandMutants() map[string]func(Full) mutant {
	return map[string]func(Full) mutant{
		"a call about an extension is one request, or as many as is said": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				err := d.UpdateExtension(ctx, ext, u)
				if err == nil {
					_, err = d.Extension(ctx, ext) // looks whether it was done
				}
				return err
			})
		},
		"throttling of calls about extensions carries its delay": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				return except(d.UpdateExtension(ctx, ext, u), fault.Throttled, as(fault.Throttled))
			})
		},
		"a missing right to extensions is denied": func(d Full) mutant {
			return mutant{Full: d, people: people{extension: func(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
				e, err := d.Extension(ctx, ext)
				return e, except(err, fault.Denied, as(fault.NotFound)) // who may not see it says that it is not there
			}}}
		},
		"a senseless answer about extensions is classified": func(d Full) mutant {
			return mutant{Full: d, extensions: func(ctx context.Context, yield func(directory.Extension) error) error {
				return except(d.Extensions(ctx, yield), fault.Unavailable, success) // no list is an empty one
			}}
		},
		"a call about an entry is one request, or as many as is said": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				err := d.UpdateContact(ctx, owner, c)
				if err == nil {
					err = d.Contacts(ctx, owner, func(directory.Contact) error { return nil })
				}
				return err
			})
		},
		"throttling of calls about entries carries its delay": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				return except(d.Contacts(ctx, owner, yield), fault.Throttled, as(fault.Throttled))
			}}}
		},
		"a missing right to a book is denied": func(d Full) mutant {
			return erasing(d, func(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
				failed, err := d.DeleteContacts(ctx, owner, ids)
				return failed, except(err, fault.Denied, success)
			})
		},
		"a senseless answer about a book is classified": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				return except(d.Contacts(ctx, owner, yield), fault.Unavailable, nonsense)
			}}}
		},
		"a photo as all are made is taken, of either type": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				if mime == directory.PNG { // declared all the same
					return fault.New(fault.Invalid, "mutant", nil)
				}
				return d.SetPhoto(ctx, ext, image, mime)
			})
		},
		"a photo is one request, or as many as is said": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				err := d.SetPhoto(ctx, ext, image, mime)
				if err == nil {
					err = d.SetPhoto(ctx, ext, image, mime) // to be sure
				}
				return err
			})
		},
		"throttling of a photo carries its delay": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				return except(d.SetPhoto(ctx, ext, image, mime), fault.Throttled, as(fault.Throttled))
			})
		},
		"a missing right to a photo is denied": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				return except(d.SetPhoto(ctx, ext, image, mime), fault.Denied, as(fault.Invalid))
			})
		},
		"a senseless answer about a photo is classified": func(d Full) mutant {
			return photographing(d, func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				return except(d.SetPhoto(ctx, ext, image, mime), fault.Timeout, nonsense)
			})
		},
	}
}

// nonsense is an error as a decoder has it, which nobody has given a kind.
func nonsense(error) error { return errors.New("invalid character '<'") }

func photographing(d Full, photo func(context.Context, identity.Extension, []byte, string) error) mutant {
	return mutant{Full: d, photo: photo}
}

// undialled is every power but pbx.Dialer.
type undialled interface {
	pbx.Driver
	pbx.Extensions
	pbx.ExtensionWriter
	pbx.Phonebook
	pbx.Photos
	pbx.NativeSync
	pbx.Watcher
	pbx.Several
}

// silenced is a driver without pbx.Dialer, which declares that it is one.
func silenced(d Full) pbx.Driver { return struct{ undialled }{d} }

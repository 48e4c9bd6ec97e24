package memory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// people are the replaced methods of pbx.ExtensionWriter, nil where they are not.
type people struct {
	extension func(context.Context, identity.Extension) (directory.Extension, error)
	create    func(context.Context, directory.Extension) error
	update    func(context.Context, identity.Extension, directory.Update) error
	delete    func(context.Context, []identity.Extension) (map[identity.Extension]error, error)
}

func (m mutant) Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
	if m.extension != nil {
		return m.extension(ctx, ext)
	}
	return m.Full.Extension(ctx, ext)
}

func (m mutant) CreateExtension(ctx context.Context, e directory.Extension) error {
	if m.create != nil {
		return m.create(ctx, e)
	}
	return m.Full.CreateExtension(ctx, e)
}

func (m mutant) UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error {
	if m.update != nil {
		return m.update(ctx, ext, u)
	}
	return m.Full.UpdateExtension(ctx, ext, u)
}

func (m mutant) DeleteExtensions(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
	if m.delete != nil {
		return m.delete(ctx, exts)
	}
	return m.Full.DeleteExtensions(ctx, exts)
}

func (m mutant) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	if m.photo != nil {
		return m.photo(ctx, ext, image, mime)
	}
	return m.Full.SetPhoto(ctx, ext, image, mime)
}

// creating, updating and deleting replace one method.
func creating(d Full, create func(context.Context, directory.Extension) error) mutant {
	return mutant{Full: d, people: people{create: create}}
}

func updating(d Full, update func(context.Context, identity.Extension, directory.Update) error) mutant {
	return mutant{Full: d, people: people{update: update}}
}

func deleting(d Full, remove func(context.Context, []identity.Extension) (map[identity.Extension]error, error)) mutant {
	return mutant{Full: d, people: people{delete: remove}}
}

// except replaces an error of one kind.
func except(err error, from fault.Kind, to func(error) error) error {
	if err != nil && fault.KindOf(err) == from {
		return to(err)
	}
	return err
}

func success(error) error { return nil }

// peopleMutants breaks what is done to extensions and photos.
func peopleMutants() map[string]func(Full) mutant {
	return map[string]func(Full) mutant{
		"a listing while some come and go has all who stay, once": func(d Full) mutant {
			return mutant{Full: d, extensions: func(ctx context.Context, yield func(directory.Extension) error) error {
				for from := 0; ; from += pageSize { // pages by how many there were, among those that there are now
					var all []directory.Extension
					if err := d.Extensions(ctx, func(e directory.Extension) error { all = append(all, e); return nil }); err != nil {
						return err
					}
					if from >= len(all) {
						return nil
					}
					for _, e := range all[from:min(from+pageSize, len(all))] {
						if err := yield(e); err != nil {
							return err
						}
					}
				}
			}}
		},
		"a cancelled listing ends promptly": func(d Full) mutant {
			return mutant{Full: d, extensions: func(ctx context.Context, yield func(directory.Extension) error) error {
				return d.Extensions(context.WithoutCancel(ctx), yield)
			}}
		},
		"an extension that was made is what was asked for": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				if err := d.CreateExtension(ctx, e); err != nil || e.Number != "5002" || !e.SignIn || !e.Enabled {
					return err
				}
				e.SignIn = false // a field that nobody has sent
				return d.UpdateExtension(ctx, e.Number, directory.Update{Fields: []directory.Field{directory.SignIn}, To: e})
			})
		},
		"a number that is taken is a conflict and changes nothing": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				return except(d.CreateExtension(ctx, e), fault.Conflict, func(err error) error {
					if e.FirstName != "" { // takes it over
						_ = d.UpdateExtension(ctx, e.Number, directory.Update{Fields: []directory.Field{directory.FirstName}, To: e})
					}
					return err
				})
			})
		},
		"changing an extension twice is one state": func(d Full) mutant {
			var last directory.Extension
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if slices.Equal(u.Fields, []directory.Field{directory.FirstName, directory.Mail}) && u.To == last {
					return fault.Errorf(fault.Conflict, "mutant", "it is so already")
				}
				last = u.To
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"a change is of what it names and of nothing else": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if len(u.Fields) == 1 && u.Fields[0] == directory.Mail {
					u.Fields = append(u.Fields, directory.Mobile) // they share a form
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"an extension is disabled and enabled again": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if len(u.Fields) == 1 && u.Fields[0] == directory.Enabled && u.To.Enabled {
					return nil // false is the only value that differs from none
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"a marker that is left later is kept": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if len(u.Fields) == 0 {
					return nil // nothing to change
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"a department that there is not is made, and none is none": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if len(u.Fields) == 1 && u.Fields[0] == directory.Department && u.To.Department == "" {
					return nil
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"texts of extensions arrive as they are or are refused": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				for utf8.RuneCountInString(u.To.FirstName) > mostText {
					_, size := utf8.DecodeLastRuneInString(u.To.FirstName)
					u.To.FirstName = u.To.FirstName[:len(u.To.FirstName)-size]
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"texts of extensions as long as is declared are taken": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				if utf8.RuneCountInString(e.LastName) >= mostText { // one less than is declared
					return fault.Errorf(fault.Invalid, "mutant", "the name is too long")
				}
				return d.CreateExtension(ctx, e)
			})
		},
		"an extension that there is not cannot be read or changed": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				return except(d.UpdateExtension(ctx, ext, u), fault.NotFound, success)
			})
		},
		"a field that cannot be written is unsupported and never sent": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				return except(d.UpdateExtension(ctx, ext, u), fault.Unsupported, success)
			})
		},
		"of several deletions each succeeds or fails by itself": func(d Full) mutant {
			return deleting(d, func(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
				failed, err := d.DeleteExtensions(ctx, exts)
				for _, why := range failed {
					if fault.KindOf(why) != fault.NotFound {
						return nil, why
					}
				}
				return failed, err
			})
		},
		"an extension deleted twice is not found, and no error of the others": func(d Full) mutant {
			return deleting(d, func(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
				failed, err := d.DeleteExtensions(ctx, exts)
				for _, why := range failed {
					if fault.KindOf(why) == fault.NotFound {
						return nil, why
					}
				}
				return failed, err
			})
		},
		"too many deletions at once are refused whole": func(d Full) mutant {
			return deleting(d, func(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
				return d.DeleteExtensions(ctx, exts[:min(batch, len(exts))])
			})
		},
		"strangers are untouched by what is done to others": func(d Full) mutant {
			return updating(d, func(ctx context.Context, ext identity.Extension, u directory.Update) error {
				if slices.Equal(u.Fields, []directory.Field{directory.FirstName, directory.Enabled}) { // the same to a whole selection
					_ = d.UpdateExtension(ctx, "200", directory.Update{Fields: []directory.Field{directory.Enabled}, To: u.To})
				}
				return d.UpdateExtension(ctx, ext, u)
			})
		},
		"a full licence is a clear stop": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				err := d.CreateExtension(ctx, e)
				if errors.Is(err, pbx.ErrLicenceFull) {
					return fault.New(fault.Invalid, "mutant", err)
				}
				return err
			})
		},
		"an extension whose making was turned away is not there": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				return except(d.CreateExtension(ctx, e), fault.Unavailable, as(fault.Timeout))
			})
		},
		"an extension whose making lost its answer is a timeout": func(d Full) mutant {
			return creating(d, func(ctx context.Context, e directory.Extension) error {
				return except(d.CreateExtension(ctx, e), fault.Timeout, as(fault.Unavailable))
			})
		},
		"a photo is set, replaced and removed": func(d Full) mutant {
			var once sync.Once
			return mutant{Full: d, photo: func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				err := error(nil)
				once.Do(func() { err = d.SetPhoto(ctx, ext, image, mime) })
				return err
			}}
		},
		"a photo of nobody is not found": func(d Full) mutant {
			return mutant{Full: d, photo: func(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
				return except(d.SetPhoto(ctx, ext, image, mime), fault.NotFound, success)
			}}
		},
		"a picture of another type is unsupported and never sent": func(d Full) mutant {
			return mutant{Full: d, photo: func(ctx context.Context, ext identity.Extension, image []byte, _ string) error {
				return d.SetPhoto(ctx, ext, image, "image/png")
			}}
		},
	}
}

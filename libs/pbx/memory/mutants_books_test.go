package memory

import (
	"context"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// books are the replaced methods of pbx.Phonebook, nil where they are not.
type books struct {
	list  func(context.Context, identity.Extension, func(directory.Contact) error) error
	enter func(context.Context, identity.Extension, directory.Contact) (string, error)
	amend func(context.Context, identity.Extension, directory.Contact) error
	erase func(context.Context, identity.Extension, []string) (map[string]error, error)
}

func (m mutant) Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
	if m.list != nil {
		return m.list(ctx, owner, yield)
	}
	return m.Full.Contacts(ctx, owner, yield)
}

func (m mutant) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
	if m.enter != nil {
		return m.enter(ctx, owner, c)
	}
	return m.Full.CreateContact(ctx, owner, c)
}

func (m mutant) UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error {
	if m.amend != nil {
		return m.amend(ctx, owner, c)
	}
	return m.Full.UpdateContact(ctx, owner, c)
}

func (m mutant) DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
	if m.erase != nil {
		return m.erase(ctx, owner, ids)
	}
	return m.Full.DeleteContacts(ctx, owner, ids)
}

func entering(d Full, enter func(context.Context, identity.Extension, directory.Contact) (string, error)) mutant {
	return mutant{Full: d, books: books{enter: enter}}
}

func amending(d Full, amend func(context.Context, identity.Extension, directory.Contact) error) mutant {
	return mutant{Full: d, books: books{amend: amend}}
}

func erasing(d Full, erase func(context.Context, identity.Extension, []string) (map[string]error, error)) mutant {
	return mutant{Full: d, books: books{erase: erase}}
}

// bookMutants breaks what is done to phonebooks.
func bookMutants() map[string]func(Full) mutant {
	return map[string]func(Full) mutant{
		"an entry that was made is what was asked for": func(d Full) mutant {
			return entering(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
				if c.Source == "k0" {
					c.Title = "" // a field that nobody has sent
				}
				return d.CreateContact(ctx, owner, c)
			})
		},
		"texts of entries as long as is declared are taken": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				if len(c.Company) > 2*200 { // counts bytes
					c.Company = c.Company[:2*200]
				}
				return d.UpdateContact(ctx, owner, c)
			})
		},
		"an entry keeps its source through changes": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				if c.Source == "another-source" {
					c.Source = ""
				}
				return d.UpdateContact(ctx, owner, c)
			})
		},
		"a changed entry is whole: numbers that were removed disappear": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				if len(c.Numbers) == 0 && c.Company == "Contoso" { // an empty list is no list
					return nil
				}
				return d.UpdateContact(ctx, owner, c)
			})
		},
		"changing an entry twice is one entry": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				if c.Department != "Wine" {
					return d.UpdateContact(ctx, owner, c)
				}
				same := false
				_ = d.Contacts(ctx, owner, func(there directory.Contact) error {
					same = same || there.ID == c.ID && there.Department == c.Department
					return nil
				})
				if same { // deleted and made again
					_, err := d.CreateContact(ctx, owner, c)
					return err
				}
				return d.UpdateContact(ctx, owner, c)
			})
		},
		"entries of others are listed as theirs and untouched": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				return d.Contacts(ctx, owner, func(c directory.Contact) error {
					if c.Source == "" && c.Company != "" {
						c.Source = "ours" // whatever is there
					}
					return yield(c)
				})
			}}}
		},
		"books do not mix": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				ours := false
				err := d.Contacts(ctx, owner, func(c directory.Contact) error {
					ours = ours || strings.HasPrefix(c.LastName, "Of ")
					return yield(c)
				})
				if err != nil || owner == "" || !ours {
					return err
				}
				return d.Contacts(ctx, "", func(c directory.Contact) error {
					if c.LastName != "Of " {
						return nil
					}
					return yield(c)
				})
			}}}
		},
		"texts of entries arrive as they are or are refused": func(d Full) mutant {
			return entering(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
				for _, text := range []*string{&c.FirstName, &c.LastName, &c.Company} {
					if runes := []rune(*text); len(runes) > mostText {
						*text = string(runes[:mostText])
					}
				}
				return d.CreateContact(ctx, owner, c)
			})
		},
		"an entry that there is not cannot be changed": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				return except(d.UpdateContact(ctx, owner, c), fault.NotFound, success)
			})
		},
		"an entry deleted twice is no error": func(d Full) mutant {
			return erasing(d, func(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
				failed, err := d.DeleteContacts(ctx, owner, ids)
				for _, why := range failed {
					return nil, why
				}
				return failed, err
			})
		},
		"too many entries deleted at once are refused whole": func(d Full) mutant {
			return erasing(d, func(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
				return d.DeleteContacts(ctx, owner, ids[:min(batch, len(ids))])
			})
		},
		"a number without a place is unsupported and never sent": func(d Full) mutant {
			return amending(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) error {
				return except(d.UpdateContact(ctx, owner, c), fault.Unsupported, success)
			})
		},
		"a book that there is not cannot be read or written": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				return except(d.Contacts(ctx, owner, yield), fault.NotFound, success) // nobody's book is an empty one
			}}}
		},
		"a long book has every entry once, also while it changes": func(d Full) mutant {
			return mutant{Full: d, books: books{list: func(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
				n := 0
				return d.Contacts(ctx, owner, func(c directory.Contact) error {
					if n++; n == pageSize+1 && c.LastName != "Abel" { // the first of a page
						return nil
					}
					return yield(c)
				})
			}}}
		},
		"an entry whose making lost its answer is a timeout": func(d Full) mutant {
			return entering(d, func(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
				id, err := d.CreateContact(ctx, owner, c)
				return id, except(err, fault.Timeout, as(fault.Unavailable))
			})
		},
	}
}

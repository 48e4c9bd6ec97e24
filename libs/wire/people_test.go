package wire_test

import (
	"math/rand/v2"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// peopleKinds are the messages about extensions, phonebooks and their synchronisation.
func peopleKinds() []kind {
	return []kind{
		{name: "system", decode: decoder(wire.DecodeSystem), random: func(r *rand.Rand) wire.Message {
			s := wire.System{System: "hq", Version: word(r), ListedAt: moment(r), Photo: r.IntN(400), CompanyBook: flag(r), PersonalBooks: flag(r),
				ExtensionsKept: flag(r), BooksKept: flag(r), SeenAt: moment(r)}
			if flag(r) {
				s.Fields, s.Numbers = []directory.Field{directory.FirstName, directory.SignIn}, directory.NumberKinds()[:2]
				s.Limits, s.BookLimits = map[directory.Field]int{directory.FirstName: 1 + r.IntN(300)}, map[directory.Field]int{directory.PhoneText: 1 + r.IntN(300), directory.Company: 255}
			}
			return s
		}},
		{name: "inventory want", decode: decoder(wire.DecodeInventoryWant), random: func(r *rand.Rand) wire.Message {
			return wire.InventoryWant{System: line(r).System, WantedAt: moment(r)}
		}},
		{name: "photo", decode: decoder(wire.DecodePhoto), random: func(r *rand.Rand) wire.Message {
			return wire.Photo{Person: somebody(r), ETag: word(r), MIME: word(r), Image: image(r), SeenAt: moment(r)}
		}},
		{name: "photo want", decode: decoder(wire.DecodePhotoWant), random: func(r *rand.Rand) wire.Message {
			return wire.PhotoWant{Person: somebody(r), Line: line(r), ETag: word(r), MIME: word(r), Image: image(r)}
		}},
		{name: "extension want", decode: decoder(wire.DecodeExtensionWant), random: func(r *rand.Rand) wire.Message {
			w := wire.ExtensionWant{ID: word(r), Person: somebody(r), Line: line(r), Op: one(r, wire.OpCreate, wire.OpDelete, "later"), Plan: word(r), WantedAt: moment(r),
				Update: directory.Update{To: directory.Extension{Fields: fields(r), Enabled: flag(r), Marker: marker(r)}}}
			w.Update.To.Number = w.Line.Extension
			if flag(r) {
				w.Update.Fields = []directory.Field{directory.Mail, directory.Enabled}
			}
			return w
		}},
		{name: "extension outcome", decode: decoder(wire.DecodeExtensionOutcome), random: func(r *rand.Rand) wire.Message {
			return wire.ExtensionOutcome{ID: word(r), Person: somebody(r), Line: line(r), Op: wire.OpAdopt, Result: one(r, wire.ChangeDone, wire.ChangeTaken),
				Detail: word(r), Plan: word(r), At: moment(r)}
		}},
		{name: "contacts page", decode: decoder(wire.DecodeContactsPage), random: func(r *rand.Rand) wire.Message {
			p := wire.ContactsPage{Mailbox: somebody(r), Shared: flag(r), Folder: word(r), Round: r.Uint64(), Full: flag(r), First: flag(r), Last: flag(r),
				Problem: word(r), FolderGone: flag(r), SeenAt: moment(r)}
			for range r.IntN(3) {
				p.Contacts, p.Removed = append(p.Contacts, contact(r)), append(p.Removed, word(r))
			}
			return p
		}},
		{name: "contacts want", decode: decoder(wire.DecodeContactsWant), random: func(r *rand.Rand) wire.Message {
			w := wire.ContactsWant{ID: word(r), Mailbox: somebody(r), Book: book(r), Chunk: one(r, "1", "a.b"), Again: flag(r), Plan: word(r), WantedAt: moment(r)}
			for range r.IntN(3) {
				w.Changes = append(w.Changes, wire.ContactChange{Op: one(r, wire.OpCreate, wire.OpDelete), Contact: contact(r)})
			}
			return w
		}},
		{name: "contacts outcome", decode: decoder(wire.DecodeContactsOutcome), random: func(r *rand.Rand) wire.Message {
			o := wire.ContactsOutcome{ID: word(r), Mailbox: somebody(r), Book: book(r), Chunk: one(r, "1", "a.b"), Plan: word(r), At: moment(r)}
			for range r.IntN(3) {
				o.Results = append(o.Results, wire.ContactResult{Op: wire.OpUpdate, Source: word(r), ID: word(r), Result: wire.ChangeRefused, Detail: word(r)})
			}
			return o
		}},
		{name: "sync order", decode: decoder(wire.DecodeSyncOrder), random: func(r *rand.Rand) wire.Message {
			return wire.SyncOrder{ID: "id" + word(r), Tenant: "contoso", Kind: one(r, wire.SyncUsers, wire.SyncContacts), Op: one(r, wire.SyncRead, wire.SyncPlan, wire.SyncApply, wire.SyncNow),
				Plan: word(r), Force: flag(r), AskedAt: moment(r), Expires: moment(r)}
		}},
		{name: "sync outcome", decode: decoder(wire.DecodeSyncOutcome), random: func(r *rand.Rand) wire.Message {
			return wire.SyncOutcome{ID: "id" + word(r), Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncPlan, State: one(r, wire.SyncPlanned, wire.SyncStale),
				Plan: word(r), Total: r.IntN(100), Done: r.IntN(100), Failed: r.IntN(9), Detail: word(r), At: moment(r)}
		}},
	}
}

func fields(r *rand.Rand) directory.Fields {
	return directory.Fields{FirstName: word(r), LastName: word(r), DisplayName: word(r), Mail: word(r), Mobile: word(r), CallerID: word(r),
		Department: word(r), Language: word(r), SignIn: flag(r)}
}

func marker(r *rand.Rand) identity.User {
	if flag(r) {
		return ""
	}
	return somebody(r).User
}

func image(r *rand.Rand) []byte {
	if flag(r) {
		return nil
	}
	return []byte("\x89PNG\xff")
}

func book(r *rand.Rand) directory.Book {
	b := directory.Book{System: "hq"}
	if flag(r) {
		b.Owner = line(r).Extension
	}
	return b
}

func contact(r *rand.Rand) directory.Contact {
	c := directory.Contact{ID: word(r), Source: word(r), FirstName: word(r), LastName: word(r), Company: word(r), Title: word(r), Department: word(r), Mail: word(r)}
	for _, kind := range slices.Concat(directory.NumberKinds()[:r.IntN(3)]) {
		c.Numbers = append(c.Numbers, directory.Number{Kind: kind, Text: word(r)})
	}
	return c
}

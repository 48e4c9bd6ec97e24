package directory

import (
	"cmp"
	"slices"

	"offhook.dev/libs/core/plan"
)

// RecoverBook compares the record with what the phone system's book has, and returns the
// record as it is in truth and the steps that delete entries that are there twice. After
// it, the next reading of each folder as a whole makes again what was deleted by hand,
// puts back what was changed by hand and deletes what is in no folder, within the brake.
// A record that was lost comes back from a listing alone.
//
//	record        listing              then
//	entry         one of the source    confirmed, with the content that it has
//	entry         none                 made again when it is read; forgotten if it was to be deleted
//	entry, none   several              the one that the record knows stays, or the first
//	none          one of the source    an entry of a folder that is not known yet
//	              without a source     somebody else's
//
// The listing is to be whole: what is missing there is taken for deleted.
func RecoverBook(book Book, record BookRecord, listing []Contact) (BookRecord, []ContactStep) {
	r := record.clone()
	own := make([]*Contact, 0, len(listing))
	for i := range listing {
		if validSource(listing[i].Source) {
			own = append(own, &listing[i])
		}
	}
	slices.SortFunc(own, func(a, b *Contact) int { return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID)) })
	var (
		entries []Entry
		steps   []ContactStep
	)
	known := r.Entries
	for len(known) > 0 || len(own) > 0 {
		if len(own) == 0 || len(known) > 0 && known[0].Source < own[0].Source {
			if e := known[0]; e.Gone == "" {
				e.ID, e.Print = "", 0
				entries = append(entries, e)
			}
			known = known[1:]
			continue
		}
		e := Entry{Source: own[0].Source}
		if len(known) > 0 && known[0].Source == e.Source {
			e, known = known[0], known[1:]
		}
		n := 1
		for n < len(own) && own[n].Source == e.Source {
			n++
		}
		stays := max(0, slices.IndexFunc(own[:n], func(c *Contact) bool { return c.ID == e.ID }))
		for i, c := range own[:n] {
			if i != stays {
				steps = append(steps, ContactStep{Op: plan.Delete, Reason: Doubled, Book: book, Source: c.Source, ID: c.ID, Contact: Contact{ID: c.ID, Source: c.Source}})
			}
		}
		e.ID, e.Print = own[stays].ID, own[stays].Fingerprint()
		entries = append(entries, e)
		own = own[n:]
	}
	r.Entries = entries
	for i := range r.Feeds {
		r.Feeds[i].Whole = false // a stray may be of a folder that is to be read again
	}
	return r, steps
}

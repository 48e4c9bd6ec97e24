package contactsync

import (
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/phone"
	"offhook.dev/libs/wire"
)

// item is a contact as the phone system can take it.
type item struct {
	contact directory.Contact
	print   uint64 // its fingerprint, never 0
}

// remarks count what was said of the contacts of a page, by reason. They hold no content.
type remarks map[directory.Reason]int

// project returns the contacts of a page as a phone system takes them.
//
// Of the numbers of a contact, one of each kind that the phone system has a place for is
// taken, by the precedence of directory.NumberKinds. They stay as they were written. By
// their E.164 in the tenant's region it is known which are the same: "030 901820" and
// "+49 30 901820" take one place, and two contacts of the page with one number are
// remarked, and both taken.
//
// A contact with nothing to show is as one that is not there: blank has its source.
func project(contacts []directory.Contact, kinds []directory.NumberKind, region string) (items []item, blank []string, said remarks) {
	limits := directory.BookLimits{Kinds: append([]directory.NumberKind{}, kinds...)} // none is none, and nil would be all
	said = remarks{}
	keys := map[string]string{} // to tell the key of a number is the dearest of all that is done here
	normalise := func(text string) string {
		key, known := keys[text]
		if !known {
			key, _ = phone.Key(text, region)
			keys[text] = key
		}
		return key
	}
	owners := map[string]string{}
	for _, c := range contacts {
		if c.Source == "" {
			said[directory.NoSource]++
			continue
		}
		fitted, ok := limits.Fit(c, normalise, func(_ directory.Field, why directory.Reason, _ string) { said[why]++ })
		if !ok {
			said[directory.Blank]++
			blank = append(blank, c.Source)
			continue
		}
		for _, n := range fitted.Numbers {
			key := normalise(n.Text)
			if owner, known := owners[key]; key != "" && known && owner != c.Source {
				said[directory.Shared]++
				break
			}
			owners[key] = c.Source
		}
		items = append(items, item{fitted, uint64(fitted.Fingerprint())})
	}
	return items, blank, said
}

// readingOf returns a page as far as one book is concerned.
func readingOf(sequence uint64, p wire.ContactsPage, items []item, blank []string) reading {
	return reading{sequence: sequence, folder: p.Folder, round: p.Round, full: p.Full, first: p.First, last: p.Last, items: items, removed: slices.Concat(p.Removed, blank),
		problem: p.Problem, folderGone: p.FolderGone, seenAt: p.SeenAt}
}

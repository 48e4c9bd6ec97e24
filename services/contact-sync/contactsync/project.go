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
	notes   notes
}

// remarks count what was said of the contacts of a page, by reason. They hold no content.
type remarks map[directory.Reason]int

// project returns the contacts of a page as a phone system takes them, whose kinds of
// numbers and lengths of texts takes has.
//
// Of the numbers of a contact, one of each kind that the phone system has a place for is
// taken, by the precedence of directory.NumberKinds. They stay as they were written. By
// their E.164 in the tenant's region it is known which are the same: "030 901820" and
// "+49 30 901820" take one place, and two contacts with one number are remarked, and both
// taken. others says whether another contact has a number, by its E.164.
//
// A contact with nothing to show is as one that is not there: blank has its source.
func project(contacts []directory.Contact, takes takes, region string, others func(key, source string) bool) (items []item, blank []string, said remarks) {
	limits := directory.BookLimits{Kinds: append([]directory.NumberKind{}, takes.kinds...), Text: takes.limits} // none is none, and nil would be all
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
	for _, c := range contacts {
		if c.Source == "" {
			said[directory.NoSource]++
			continue
		}
		var told notes
		note := func(why directory.Reason) {
			said[why]++
			told = told.with(why)
		}
		fitted, ok := limits.Fit(c, normalise, func(_ directory.Field, why directory.Reason, _ string) { note(why) })
		if !ok {
			said[directory.Blank]++
			blank = append(blank, c.Source)
			continue
		}
		shared := false
		for _, n := range fitted.Numbers {
			if key := normalise(n.Text); key != "" && others(key, c.Source) {
				shared = true
			}
		}
		if shared {
			note(directory.Shared)
		}
		items = append(items, item{fitted, uint64(fitted.Fingerprint()), told})
	}
	return items, blank, said
}

// readingOf returns a page as far as one book is concerned.
func readingOf(sequence uint64, p wire.ContactsPage, items []item, blank []string) reading {
	return reading{sequence: sequence, folder: p.Folder, round: p.Round, full: p.Full, first: p.First, last: p.Last, items: items, removed: slices.Concat(p.Removed, blank),
		problem: p.Problem, folderGone: p.FolderGone, seenAt: p.SeenAt}
}

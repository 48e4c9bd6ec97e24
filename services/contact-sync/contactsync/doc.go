// Package contactsync is the service contact-sync: it keeps the phonebooks of phone
// systems as the contacts of Microsoft 365 are, one way.
//
// A personal mailbox fills the personal phonebook of each extension of its user, on the
// phone systems that have such books. A shared mailbox fills the company's phonebook of
// every phone system that serves the tenant. Whatever else is in a phonebook is somebody
// else's and is never touched: an entry is Offhook's if its id is in the bucket `books`,
// or, when that was lost, if it carries a source.
//
// # How a page becomes entries
//
// Pages of contacts wait in PAGES, in order for each mailbox, until every phonebook of
// the mailbox has done with them; each phonebook goes on by itself, so that a phone
// system that is away holds up no other. What a phonebook has is one value of the bucket:
// for each contact the source key, the phone system's id, and two fingerprints, of what
// Microsoft 365 was last seen to have and of what the phone system was last made to have.
// A page is folded into the first (fold.go says how), and the difference of the two is
// what is to be done:
//
//	seen, not written        create   needs the page
//	seen otherwise           update   needs the page
//	written, not seen        delete   needs nothing
//
// Changes go out as a series of up to 100. One series of a mailbox and phonebook is on its
// way at a time: its intent is stored (compare and set), then it is sent, then its outcome
// is taken in together with the next intent. After a kill anywhere the value says that a
// series was on its way; if neither the want nor an outcome is there, nobody knows what
// came of it, and the same changes go out again with `Again`, which makes the writer look
// before it creates. The same is done for all of a folder that was never read whole, so
// that even the loss of the bucket doubles nothing.
//
// Nothing of a contact's content is kept once it is applied: pages leave PAGES, series
// leave CHANGES, and neither a value, a plan, the state nor a log has any.
//
// # What does not delete
//
// A full reading deletes what it did not show only at its last page, if it was seen from
// its first page on. A page that is lost or unreadable, a reading that is cut off, a
// mailbox that is gone, a permission that was withdrawn: nothing follows. Deletions wait
// until no page of the mailbox has come for half a minute, since what moves to another
// folder seems to be gone in between. More than max(3, 5 %) of a mailbox's entries in a
// phonebook within 24 hours are held back: the state says so, and an order with force
// lifts it for those that are held at that moment.
//
// # When a phonebook is left
//
// The extension has become somebody else's, or the person has another one on the same
// phone system: what the mailbox has in the book is deleted at once, whatever the brake
// says, because it is private. The new extension's book is filled by a full reading. The
// extension is nobody's: the same after the tenant's hold, so that who comes back within
// it finds everything. With an extension that is deleted its phonebook goes too; what the
// phone system refuses to delete then is let go. What the configuration does not ask for
// any more stays until somebody orders it away with force. Books that a phone system's
// own Microsoft 365 sync keeps are not written at all.
//
// # What went wrong
//
// A change that the phone system would not take goes wrong by itself: the others go on. It
// is tried again after Options.Retry, and by each order. A creation or an update needs its
// contact for that, so the mailbox is read whole. Deletions are under the brake as ever.
//
// # What is missing
//
// Contents are not kept, so what went by can only be had by reading: when an extension is
// linked that the mailbox did not fill, when a phone system was away for longer than
// Options.Patience, when a plan is applied. Then a key of the bucket `books` asks for a
// full reading of the mailbox (see libs/books); graph-poller watches those.
//
// # Plans
//
// A plan shows the difference between what Microsoft 365 was last seen to have and what
// the phone systems were last made to have, by source key and without content: all of it
// where the policy is off, and otherwise what is on its way, in trouble, held back or left
// out by the policy. It reads nothing by itself; whoever wants it to be of this minute
// orders a reading first. Its digest is over both fingerprints, so an apply is refused as
// stale when anything changed since. Applying asks for a full reading of the mailboxes
// whose contents are needed. One order of a tenant is under way at a time, and it goes on
// after a restart.
//
// # Limits
//
// A value is at most 1 MB: a mailbox can have about 21,000 entries in a phonebook whose
// ids are numbers, and 13,000 where they are GUIDs. Further contacts find no room; the
// state counts them.
package contactsync

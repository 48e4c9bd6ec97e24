// Package usersync is the service user-sync: it pairs Microsoft users with
// extensions of the phone systems that serve their tenant.
//
// A pair from the configuration wins. Otherwise a user is paired with the one
// enabled extension of a system that has their mail address or UPN; two candidates
// on either side are a conflict, which is reported and never guessed. A pair once
// made stays until one side is known to be gone, whatever else changes.
//
// # When it ends in the middle
//
// Whatever is done is stored before it is asked for: whose a number is before the extension
// is made, what is removed before it is. What is on its way is read from the queue at the
// start, and what a plan wants that is neither there nor done is asked for again, under the
// same number and with the same content. What need not show once it is done has a note
// until it is asked for: that an extension is taken over (Record.Unsent). The end of a plan
// is noted before it is told, and told again where nobody has been. A picture may be set
// twice.
package usersync

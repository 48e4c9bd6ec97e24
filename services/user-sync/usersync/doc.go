// Package usersync is the service user-sync: it pairs Microsoft users with
// extensions of the phone systems that serve their tenant.
//
// A pair from the configuration wins. Otherwise a user is paired with the one
// enabled extension of a system that has their mail address or UPN; two candidates
// on either side are a conflict, which is reported and never guessed. A pair once
// made stays until one side is known to be gone, whatever else changes.
package usersync

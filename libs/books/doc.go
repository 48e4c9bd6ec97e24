// Package books is what contact-sync tells others through its buckets: which mailboxes
// have to be read whole, how a tenant's phonebooks stand, and the plans that were made
// for them. contact-sync alone writes; graph-poller watches the first, the control API
// reads the others.
package books

// Package books is what contact-sync tells others through its buckets: which mailboxes
// have to be read whole, and how a tenant's phonebooks stand. contact-sync alone writes;
// graph-poller watches the first, the control API reads the second.
package books

// Package poller is the service graph-poller: it reads Microsoft Graph.
//
// The presence sweep (sweep.go) is the correctness path: every linked user every
// ten seconds, 650 in a request, whether or not notifications come. It publishes
// what differs from the stored fact, and one sweep fact that says how fresh
// everyone is. Hints (hints.go) are read at once.
//
// Who is in the directory and in its mailboxes is one share of the work (people.go).
// Users come by delta (users.go), whose cursor is saved after its effects, with what is
// asked of their mailboxes (purposes.go) and which photo they have (photos.go,
// picture.go). Contacts of linked users and of shared mailboxes (sharedmailbox.go) are
// read mailbox by mailbox (contacts.go, errands.go) and folder by folder
// (contactread.go), by changes or, where a cloud has none, by comparing
// (contactround.go), in pages as the broker takes them (contactpage.go); how far is one
// small value for each mailbox (contactstate.go). Nothing that a contact says is in a log
// or a bucket. Orders have users or contacts read now (readorders.go). Groups that
// options, priorities or the choice of users name are read as a whole (groups.go).
//
// A lane is the presence subscription of a delegated account. Accounts stand in the
// configuration or sign in by device code (signin.go), as one list (accounts.go); a
// plan puts users on them (lanes.go); for each there is a keeper (keepers.go), which
// holds its subscription (keeper.go) and tells how it does. Whether lanes tell of
// changes is heard on the bus (ears.go): one that is silent is made anew.
//
// Calendars (calendar.go) are read at once when somebody is linked, in a sweep that is
// spread over a quarter of an hour (calendarsweep.go), and twice when a hint names
// them. A keeper of their own (events.go) holds a subscription to the events of
// everyone whose calendar can be read, and one to the directory, whose hints have the
// delta read; its records carry it over a restart.
//
// Each share of the work is leased, so that replicas divide tenants and shards among
// them.
package poller

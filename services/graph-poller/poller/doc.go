// Package poller is the service graph-poller: it reads Microsoft Graph.
//
// The presence sweep (sweep.go) is the correctness path: every linked user every
// ten seconds, 650 in a request, whether or not notifications come. It publishes
// what differs from the stored fact, and one sweep fact that says how fresh
// everyone is. Hints (hints.go) are read at once. Users come by delta (users.go),
// whose cursor is saved after its effects, and groups that options or priorities name
// as a whole (groups.go).
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
// everyone whose calendar can be read; its records carry it over a restart.
//
// Each share of the work is leased, so that replicas divide tenants and shards among
// them.
package poller

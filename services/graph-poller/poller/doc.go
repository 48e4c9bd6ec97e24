// Package poller is the service graph-poller: it reads Microsoft Graph.
//
// The presence sweep (sweep.go) is the correctness path: every linked user every
// ten seconds, 650 in a request, whether or not notifications come. It publishes
// what differs from the stored fact, and one sweep fact that says how fresh
// everyone is. Hints (hints.go) are read at once. Users come by delta (users.go),
// whose cursor is saved after its effects, and groups that options or priorities name
// as a whole (groups.go). The keeper (keeper.go) holds a presence
// subscription for each delegated account.
//
// Calendars (calendar.go) are read at once when somebody is linked, in a sweep that is
// spread over a quarter of an hour (calendarsweep.go), and twice when a hint names
// them. A keeper of their own (events.go) holds a subscription to the events of
// everyone whose calendar can be read; its records carry it over a restart.
//
// Each share of the work is leased, so that replicas divide tenants and shards among
// them.
package poller

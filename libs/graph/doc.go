// Package graph is what Offhook asks of Microsoft Graph, in Offhook's own words:
// the verbs as small interfaces, the values they carry, and the rules of the
// wire that more than one package must know (limits, filters, links, clouds).
//
// It speaks to nobody. graph/msgraph answers the verbs over Microsoft's SDK,
// graph/graphsim is a tenant to try them against, graph/notification reads what
// Graph posts to us.
//
// Every verb returns errors classified by core/fault. A caller may repeat any
// verb but Subscriber.Create; what Graph says is a hint to look again, never a
// reason to delete.
package graph

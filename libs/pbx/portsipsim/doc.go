// Package portsipsim is a PortSIP PBX v22 to try the driver and the services against:
// one Sim is one tenant of one phone system, reached over TLS by its REST interface
// (/api) and its websocket for events (/wsi).
//
// It answers what the driver uses as the vendor's description says, and refuses the
// rest: a member that is not described, a text that is too long, a creation without
// what is mandatory, a login, number or PIN that is not allowed, a number that is
// taken, a dead token, more requests in a minute than there may be, an account that
// would have to show a second factor. What is not known of the real one, and there is
// much of that, is a switch in Config; the driver is held to its duties with each.
//
// It is apart from pbxsim because nothing but faults would be shared: there ids are
// numbers, statuses are names of profiles, departments have roles and entries have tags.
//
// From behind, a Sim is an open book. Methods show and set what is there, as people and
// administrators would; inject faults; and count. Nothing is persisted.
package portsipsim

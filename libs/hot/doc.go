// Package hot keeps hot state: rate budgets shared by the replicas of a service,
// and cached values. All of it can be rebuilt, so losing everything at any moment
// (FLUSHALL, a restart, a Redis that is gone for an hour) changes no outcome; it
// only costs time. What must not be lost belongs in libs/store.
//
// There are two stores with one behaviour, held together by the suite in
// hottest: InProcess for one process, Redis for several. Both count budgets by
// the generic cell rate algorithm: a budget admits Limit.Burst events at once and
// then one every Per/Events. In any stretch of time t it admits at most
// Burst + t*Events/Per events, whatever the callers do.
//
// # While Redis cannot be reached
//
// Nothing fails. Take counts in the process against the limit divided by the
// number of replicas, Get finds nothing, Set is dropped, and one line in the log
// says so. Delete is the exception: it fails, because the value would be back
// when Redis is. A bucket that starts anew starts full, so each loss of Redis may
// cost one burst more than the limit says. A value that Get returns can be older
// than the last Set: do not cache what must not be read late.
//
// # Keys
//
// In Redis every key begins with "offhook:": "offhook:budget:" is followed by the
// key given to Take, "offhook:value:" by the key given to Get, Set and Delete. An
// ACL that gives a service ~offhook:* is enough. The given keys begin with a
// prefix that has one owner; another service that wants to know learns it by
// message, not by reading the key.
//
//	prefix     kind    owner
//	graph:     budget  libs/graph/msgraph, for graph-poller and graph-writer: requests per tenant and mailbox
//	token:     value   libs/graph/msgraph: access tokens, until shortly before they expire
//	webhook:   budget  webhook-receiver: requests per key
//	session:   value   control-api: signed-in sessions
//	board:     value   control-api: the status board
//
// # Duties of the caller
//
// Take asks for what can be had: a wait is an answer, not an error, and waiting it
// out is the caller's business (with its context). Keys hold ids, never names or
// addresses of people. A store is not used after Close.
package hot

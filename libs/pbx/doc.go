// Package pbx is how Offhook speaks to phone systems.
//
// A Driver translates between Offhook's words and one kind of phone system and
// does nothing else: no retry, pace, cache, log, metric or policy. A System wraps
// one Driver for one configured phone system and adds those, once for all kinds:
//
//   - at most Pace.InFlight requests at a time, fewer while the phone system is
//     slow or complains; status reads and writes go ahead of listings and of all
//     that is done for extensions, phonebooks and photos;
//   - up to three tries within the caller's deadline, where a repetition cannot
//     do what was not asked for;
//   - a circuit breaker, so that a dead phone system costs its callers nothing and is
//     asked whether it is back every few seconds, by one of them;
//   - spans, metrics, and the check that a write is within the declared powers;
//   - a watch that connects again, says when it is lost, and keeps a table of calls.
//
// What a System never does is decide: after a write whose effect is unknown
// (fault.Timeout) the caller reads before it tries again, and after Generation
// has changed it treats its next read as the first after a restart.
//
// Every driver passes the suite in pbxtest; memory is the one to copy from.
package pbx

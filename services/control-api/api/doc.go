// Package api answers what every linked extension shows and why, tells of changes as
// they happen, keeps the options, choices and pauses that people ask for, and hands
// their orders on to the service that carries them out: over gRPC
// (offhook.control.v1) and as REST with server-sent events under /api/v1.
//
// It keeps a read model in memory, filled from the broker at every start: the
// newest fact, decision and outcome of each person and line, so its size is
// bounded by the number of users and extensions. Nothing in it is the truth and
// nothing of it is stored; history is read from the streams when asked for.
//
// Guarantees: a reader that is too slow is dropped and told so, it never holds up
// anybody else. The ids of watch events are sequences of the stream OUTCOMES, so
// that a reader who comes back with the last one misses no outcome that the
// stream still holds. What people ask for is stored, as the only writer of the bucket
// `options`, before it is answered; everything wrong with it is said at once and then
// nothing of it is stored, and who sends the revision that was read overwrites
// nobody's change. An order is given once, however often it is sent with its id. No
// answer depends on a person's name being unique: what matches several is refused with
// the list of what matched.
//
// Duties of the caller: there is no sign-in yet, so Run refuses to listen
// anywhere but on loopback, and answers only requests that name a loopback host.
package api

// Package sippresence shows statuses through a SIP presence server (Kamailio,
// OpenSIPS, FreeSWITCH, ...) by publishing presence documents: PUBLISH (RFC 3903)
// with PIDF (RFC 3863), the presence data model (RFC 4479) and RPID (RFC 4480).
//
// What it shows is presence: lamps and texts on the phones and clients that
// subscribe to Event: presence, and red lamps on those that watch for calls. It routes
// nothing: no phone rings less because a document says busy, so all statuses are
// declared as written and read, while Ring says what each means to a person
// (docs/presence.md): available rings.
//
//	status         tuple  activity     note
//	available      open   -            -
//	away           open   away         -
//	dnd            open   busy         Do not disturb (RPID has no activity for it)
//	lunch          open   meal         -
//	business-trip  open   travel       -
//
// # What it guarantees
//
// SetStatus is one PUBLISH of Event: presence, apart from the second try that a digest challenge
// (401, 407), an unknown entity tag (412) or too short an interval (423) asks for. Only the
// first request is challenged: the next ones answer the same challenge ahead (RFC 7616
// section 3.4), each with a count of its own, until the server wants another nonce. A server
// that takes each nonce once is asked before each request, which are two then: that is
// found out after three nonces in a row, and until the driver is opened again.
// Per extension one PUBLISH is under way at a time, as RFC 3903 section 4 wants.
// Between the calls a keeper refreshes what was published, four publications at a
// time and at most fifty a second, at 50 to 80 % of the lifetime that the server
// granted; if the server has forgotten a publication (a restart), it is published anew
// then, unless all that is known of it was kept by an earlier process, or it has expired
// meanwhile: who was asleep, or cut off, for so long does not know what others show by now.
// What was kept is prolonged only if the server shows that status still. A server that names
// a time (Retry-After) is left alone until then. Who reads Unset before need not wait for
// that: writing again is the same as writing. After a write whose effect is unknown nothing of
// that extension is published anew until it is written again.
//
// All documents of an extension carry the same tuple and person id, so that a
// publication whose entity tag was lost (the answer never came) does not stand
// beside the next one until it dies: Kamailio (5.6.3) shows the newest document of
// one id where it keeps publications in a database. Where it keeps them in memory
// (publ_cache=2) it shows the oldest, and it loses the document in a refresh that
// does not repeat it; a database is to be preferred there, and Config.RefreshWhole
// is needed otherwise.
//
// Status asks the server what it shows, by a SUBSCRIBE with Expires: 0, which is
// answered by one NOTIFY (RFC 6665 section 4.4.3): what other clients of the same
// user publish is part of it. An empty document, as after a restart of the server,
// is presence.Unset.
//
// # Lamps
//
// With Config.Lamps keepers of their own publish dialog-info (RFC 4235, Event: dialog)
// beside presence: a call that is confirmed while the extension shows one of those
// statuses, and that is terminated afterwards. Lamps follow what is written and what is
// read, two at a time and before any is prolonged, at the pace of the server; their failures
// are nobody's but Tell's, because SetStatus has shown the status then and its error would
// say otherwise. Where the server does not serve the event there are no lamps until the driver
// is opened again.
//
// A lamp is turned off by a document, not by taking the publication back: Kamailio
// (5.6.3) tells phones of a removal by sending them the removed document once more,
// and of an expiry by an empty one. Nor does it let a call that has ended be changed into
// another, so that the next one is an initial publication; being of the same dialog id it
// replaces what is left of those before it.
//
// # What it cannot do
//
// SIP presence has no directory. The inventory is what Config.Extensions names, and
// without it there is none. Statuses asks for each extension that was published by
// this driver or is configured, one request each and one after the other; an
// extension that is neither is not in the listing. Most servers accept any
// extension and answer 404 only if their configuration checks for it; those that
// do not show Unset for an extension that does not exist.
//
// # Duties of the caller
//
// One process at a time works the extensions: what was published or refreshed last is what the
// server shows. Who can lose them to another says until when they are its own (Until); after
// that the keepers send nothing, and Close takes nothing back. Who reads Unset where it has
// written writes again.
//
// The account must be allowed to publish for every extension: the From of a
// PUBLISH is the extension's address, the credentials are those of Config. The
// NOTIFY comes to the socket from which the SUBSCRIBE went, so there may be no
// address translation between Offhook and the server, unless the server sends to
// the source address of the SUBSCRIBE or the transport is tcp or tls. Over udp a
// request must fit into 1300 bytes (RFC 3261 section 18.1.1), which it does unless
// extension and domain together are longer than about 60 characters; there use
// tcp. Redirects are not followed.
package sippresence

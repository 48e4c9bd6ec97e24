// Package asterisk drives Asterisk, with FreePBX or with a dialplan of one's own, through
// its manager interface (AMI, package ami) over TLS or TCP.
//
// What a status is on an Asterisk is up to its dialplan. So a driver has places, which a
// profile names:
//
//	           switch, which routes calls     lamps                               presence, if wanted
//	freepbx    DND/<ext> = YES or gone        Custom:DND<ext> and, for each       CustomPresence:<ext>
//	                                          device, Custom:DEVDND<device>:
//	                                          BUSY or UNAVAILABLE
//	plain      a key of the database, or the  the device state                    a name
//	           device state itself
//
// The switch is do-not-disturb. Without a presence dnd and available can be written and
// read; with one all five: what is not dnd is the type of the presence and, for lunch and
// business trip, its subtype. The switch is what counts: a presence "dnd" without it is
// available, because calls arrive.
//
// One call is one action, or a few: a read asks for the switch, and for the presence if
// the switch is off. A write sends one action first, and once that is done everything else
// at once: dnd the switch, which is what routes calls, and what ends dnd the presence, so that
// a write which ends between the two never shows a third status. If something of the rest
// fails, or is refused, the error is Timeout, for part of the write has happened
// (Capabilities.Parts). A connection's first word about an extension asks whether it is there
// and which devices it has; that is remembered for a few minutes.
//
// Asterisk acknowledges a write of its database up to a second before it is on disk: one
// that dies forgets it. So the loss of a connection is always told, once, as Unavailable,
// also if nobody was asking anything at that moment: pbx.System then grows its generation
// with the next answer, and whoever keeps a ledger reads again what was written last. A
// watch ends as well, and the next one tells what every extension shows.
//
// Duties of the caller: the pace. The manager account must allow two sessions at a time.
package asterisk

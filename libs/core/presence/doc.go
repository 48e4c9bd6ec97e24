// Package presence decides which status an extension should show and why.
//
// It is pure: the remembered state, the newest fact, the options and the present
// time go in, a Verdict comes out. Nothing is ever "saved and put back" (PRODUCT
// 2.4): every source holds a claim, the strongest living claim shows, and when it
// ends the next one shows by itself.
//
// # How it remembers
//
// Memory is a short log of what was observed, ordered by when it was seen, on top
// of the state in which everything older left the person. Decide puts the fact
// into its place and plays the log again up to now. Hence the order in which
// facts arrive, and how often, does not matter among the newest four and among
// those seen within two minutes of the newest; an older straggler counts as
// having just followed the state below the log. The log is judged by today's
// options; what has left it was judged by the options of its time.
//
// # What the caller owes
//
//   - One Memory per person, stored as JSON, handed in unchanged; Decide does not
//     modify its arguments and may be repeated by the loser of a compare-and-set.
//   - Times of one clock (the broker's). A fact from the future counts as seen now.
//   - A Tick at Wake.
//   - Before a fact or a Tick the newest Sweep, if Teams was read since the last
//     one: without it a Teams opinion ends after StaleAfter. No Sweep is needed
//     where nothing else happens, except when a source that had failed recovers.
//   - Links first: a reading of a line that the known links do not name is ignored.
package presence

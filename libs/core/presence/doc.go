// Package presence decides which status an extension should show, what Teams should
// show because of the phone, and why.
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
// Beside the log stand the newest word on each line's calls, and as far back as the
// log needs them the readings of the calendar, the times at which Teams was read or
// refused, and what Offhook made Teams show. A refusal older than a successful read
// says nothing. Of readings the guarantee above holds, if no two are of one moment. A
// poll was answered some time between its begin, which is its SeenAt, and when it was
// folded: what Offhook made Teams show meanwhile may be what it shows.
//
// # What Teams should show
//
// A call is a session, a person's choice is preferred presence, and both are judged
// with the log: when Teams shows something else than what was preferred, a person has
// replaced it. Readings begun before that was set say nothing about that, and two others
// never do. Offline shows for everybody who is
// not signed in, whatever is preferred; and what Offhook's own session shows is no
// person's. Sessions are compared after mapping, what is preferred by availability.
// When something is wanted there depends on when it was decided, not on when the fact
// was seen: it is then that it can begin to echo. What is wanted no more shows, and may
// echo, until TeamsWritten says that it was cleared, or until it has run out: Graph may
// refuse for a while to clear it.
//
// # What the caller owes
//
//   - One Memory per person, stored as JSON, handed in unchanged; Decide does not
//     modify its arguments and may be repeated by the loser of a compare-and-set.
//   - Times of one clock (the broker's). A fact from the future counts as seen now.
//   - A Tick at Wake, in a pause as well.
//   - Before a fact or a Tick the newest Sweep, if Teams was read since the last
//     one: without it a Teams opinion ends after StaleAfter. No Sweep is needed
//     where nothing else happens, except when a source that had failed recovers.
//   - TeamsWritten for the newest want only, and again if the first was lost as long as
//     Memory.Unsure.
//   - Links first: a reading of a line that the known links do not name is ignored.
package presence

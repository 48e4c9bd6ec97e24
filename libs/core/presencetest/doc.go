// Package presencetest is a second, independent statement of docs/presence.md: given the
// whole truth of one person's history it says what each line must show at every
// moment. It shares nothing with the package it judges, not even its words for
// statuses, and works the other way round: no memory, no events, no timers, but a
// table of moments filled from left to right with everything in view.
//
// Time is counted in ticks. The caller chooses what a tick is and may therefore
// only use times and durations that are whole ticks. The oracle knows all claims and
// modes, and what must be wanted in Teams, the latter for facts that arrive at once.
package presencetest

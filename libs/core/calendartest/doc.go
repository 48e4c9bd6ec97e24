// Package calendartest makes random calendars, and says what each of them means: a
// second, independent statement of which time a calendar takes. It shares nothing
// with the package it judges, not even its words, and works the other way round.
// It turns no date into an instant; it walks through time in steps of five minutes,
// looks at what the clocks on the walls have shown so far, and asks of each event
// whether it has begun and not ended by them.
//
// All times of a calendar are therefore whole steps.
package calendartest

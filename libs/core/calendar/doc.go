// Package calendar reduces a calendar to what presence needs of it: when someone is
// busy, out of office or elsewhere, and nothing about why, where and with whom.
//
// ParseTime and ParseDate read the times of Graph's events, Rules choose what an
// event counts as, Reduce makes one union of intervals per class, At and
// NextBoundary say what is the case and until when.
//
// Everything is an instant once it is read, so that neither zones nor changes of
// the clocks matter afterwards. Series need no treatment: a calendar view has each
// occurrence as an event of its own, exceptions included.
package calendar

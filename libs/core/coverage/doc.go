// Package coverage plans who is on which lane. A lane is one presence subscription
// of a delegated account and tells of changes at once, for at most 650 users; whoever
// is on none is swept only, and just as right a few seconds later. A lane whose users
// change must be subscribed anew, so a plan changes as few lanes as it can.
//
// Plan takes the plan in force and what there is to be planned, and returns the next
// plan. It obeys these laws:
//
//   - Nobody is on two lanes, no lane has more users than its capacity, and a lane that
//     works has no free place while anybody is left out.
//   - The configured priority counts first, then who changes most. Nobody is left out
//     for someone of lower priority, nor for someone of the same priority who changes
//     clearly less. Clearly means more than twice as often and ten changes more: the
//     counts of a day go up and down without anybody changing places.
//   - Whoever has a place keeps it, on the same lane, unless someone takes it under the
//     second law or the lane is gone or has become too small. Nobody is moved to
//     another lane for any other reason.
//   - A lane that fails keeps its users, gets no new ones, and gives none to lanes that
//     work: it recovers by itself.
//   - As few places change hands as the second law allows, and among the plans that
//     do so this is one that changes the fewest lanes. A user who joins, leaves, gets
//     another priority or becomes more or less active, and a lane that is added or
//     recovers, changes one lane at most; a lane that fails changes none.
//   - Planning again on the plan changes nothing. The order of the arguments does not
//     matter, nor does anything but them.
//
// Why one change of users changes one lane at most: in a plan nobody left out may take
// a place, so after one user has changed only that user can take one, or only that
// user's place can be taken. Whoever had to go was the weakest, or weaker than who came,
// and can therefore take none in turn. Several changes at once change no more lanes
// than there are changes.
//
// Silence finds lanes whose subscription lives and tells of nothing.
package coverage

package graphwriter

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// Graph has been seen to let a session end long before the time that it was asked for. So
// the pass reads what Teams shows of those who are in a call, and sets a session again
// that a reading had shown and a later one does not. It has to be seen anew before that
// can happen once more: what covers it, as what the person prefers, costs one request.

const (
	// settles is how long after it was set a session need not show.
	settles = 30 * time.Second
	// worthAgain is how long a session must still be wanted. Graph grants five minutes at
	// least, so one that is not renewed may show for four minutes too long.
	worthAgain = time.Minute
)

// below are the availabilities, in lower case, that do not show where a session that is
// busy or in do not disturb lives and nothing is preferred.
var below = []string{"available", "availableidle", "away", "berightback", "offline"}

// confirm reads what Teams shows for wants whose session should show. The error is the
// first; it is tried again with the next pass.
func (t *tenant) confirm(ctx context.Context, wants []wire.TeamsWant) (failed error) {
	for chunk := range slices.Chunk(wants, graph.MaxPresences) {
		byUser := make(map[identity.User]wire.TeamsWant, len(chunk))
		users := make([]identity.User, 0, len(chunk))
		for _, want := range chunk {
			byUser[want.Person.User] = want
			users = append(users, want.Person.User)
		}
		began := t.w.bus.Now()
		var found []graph.Presence
		err := t.request(ctx, func(ctx context.Context, client Client) (err error) {
			found, _, err = client.Presences(ctx, users)
			return err
		})
		if err != nil {
			return err
		}
		for _, shown := range found {
			if want, asked := byUser[shown.User]; asked {
				if err := t.compare(ctx, want, shown, began); err != nil { // nobody else's
					failed = cmp.Or(failed, err)
				}
			}
		}
	}
	return failed
}

// settledSession says whether the session of a want should show at a time. p.mu is held.
func (t *tenant) settledSession(p *person, want wire.TeamsWant, at time.Time) bool {
	ours := p.pins.Session
	return ours != nil && !at.Before(ours.SetAt.Add(settles)) && want.SessionUntil.Sub(at) >= worthAgain &&
		want.Revision.Compare(p.newest) >= 0 && want.Revision.Compare(p.pins.Revision) >= 0 &&
		p.pins.step(session, want, at) == keep && !p.breaker.Stopped(at)
}

// toConfirm is settledSession for who does not hold p.mu. Somebody who is being written
// for is left to the next pass.
func (t *tenant) toConfirm(want wire.TeamsWant) bool {
	p := t.person(want.Person)
	if !p.mu.TryLock() {
		return false
	}
	defer p.mu.Unlock()
	return t.settledSession(p, want, t.w.bus.Now())
}

// compare takes in what a reading, begun at a time, has shown of a person in a call.
func (t *tenant) compare(ctx context.Context, want wire.TeamsWant, shown graph.Presence, began time.Time) error {
	p := t.person(want.Person)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !t.settledSession(p, want, began) {
		return nil
	}
	ours := p.pins.Session
	switch {
	case strings.EqualFold(ours.Show, shown.Availability+"/"+shown.Activity):
		p.seen = ours.SetAt
		return nil
	case !slices.Contains(below, strings.ToLower(shown.Availability)) || !p.seen.Equal(ours.SetAt):
		return nil
	}
	t.log.Warn("a session of ours does not show any more although it should: it is set again", "user", want.Person.User, "after", began.Sub(ours.SetAt), "shown", shown.Availability+"/"+shown.Activity)
	t.w.metrics.repaired(ctx, t.conf.ID)
	w := &work{want: want, next: p.pins.at(want.Revision), results: map[target]wire.Result{}}
	if err := t.write(ctx, p, w, map[target]step{session: refresh}); err != nil {
		return err
	}
	return w.retry
}

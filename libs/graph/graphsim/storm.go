package graphsim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// statePairs are the documented pairs of availability and activity
// (learn.microsoft.com/graph/cloud-communications-manage-presence-state, 2025-09).
var statePairs = [][2]string{
	{"Available", "Available"}, {"Busy", "Busy"}, {"Busy", "InACall"}, {"Busy", "InAMeeting"}, {"Away", "Away"},
	{"DoNotDisturb", "DoNotDisturb"}, {"DoNotDisturb", "Presenting"}, {"BeRightBack", "BeRightBack"},
	{"Available", "OutOfOffice"}, {"Offline", "OffWork"},
}

// Storm is a load of presence changes.
type Storm struct {
	Changes int      // how many
	Rate    float64  // per second; 0 is as fast as possible
	Users   []string // ids, UPNs or local parts; nil is all users of the tenant
	Seed    uint64   // the same seed gives the same changes to the same users
}

// StormResult says what a storm did.
type StormResult struct {
	Changes int           `json:"changes"`
	Took    time.Duration `json:"took"` // nanoseconds in JSON
	Late    time.Duration `json:"late"` // the most that a change was behind its instant: the generator's own error
}

// Storm makes presence changes at fixed instants, 1/Rate apart and never skipped: a
// stall shows as lateness and is caught up with. Each is a real change of a user. It
// returns early, with what it did, when ctx ends or the simulator is closed.
func (t *Tenant) Storm(ctx context.Context, s Storm) (StormResult, error) {
	users := s.Users
	if users == nil {
		users = t.UserIDs()
	}
	if s.Changes < 0 || s.Rate < 0 || len(users) == 0 {
		return StormResult{}, fmt.Errorf("storm: %d changes at %g/s for %d users: give numbers that are not negative and a user", s.Changes, s.Rate, len(users))
	}
	random := rand.New(rand.NewPCG(s.Seed, uint64(s.Changes)))
	began := time.Now()
	var result StormResult
	for i := range s.Changes {
		if s.Rate > 0 {
			due := began.Add(time.Duration(float64(i) / s.Rate * float64(time.Second)))
			if err := t.server.waitUntil(ctx, due); err != nil {
				return result, fmt.Errorf("storm: %w", err)
			}
			result.Late = max(result.Late, time.Since(due))
		} else if ctx.Err() != nil {
			return result, fmt.Errorf("storm: %w", context.Cause(ctx))
		}
		if err := t.shift(users[random.IntN(len(users))], random.IntN(len(statePairs))); err != nil {
			return result, fmt.Errorf("storm: %w", err)
		}
		result.Changes++
		result.Took = time.Since(began)
	}
	return result, nil
}

// shift sets a user to a pair, or to the one after it if that is what it has.
func (t *Tenant) shift(user string, pair int) error {
	now, err := t.Presence(user)
	if err != nil {
		return err
	}
	if statePairs[pair] == [2]string{now.Availability, now.Activity} {
		pair = (pair + 1) % len(statePairs)
	}
	return t.SetPresence(user, statePairs[pair][0], statePairs[pair][1])
}

func (s *Server) waitUntil(ctx context.Context, at time.Time) error {
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

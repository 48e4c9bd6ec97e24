package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// explainer reads the history of a person out of the streams.
type explainer struct {
	model *model
	bus   *bus.Bus
}

// explain says for each of a person's lines why it shows what it shows, or showed
// at a moment; the zero moment is now.
func (e explainer) explain(ctx context.Context, tenant, name string, at time.Time) ([]Explanation, error) {
	if name == "" {
		return nil, problem(fault.Invalid, CodeRequest, "a user is needed", "user", "name one user or extension, such as user=anna or user=204")
	}
	now := e.model.now()
	switch kept := retention(topology.Decisions); {
	case at.After(now):
		return nil, problem(fault.Invalid, CodeRequest, "that time has not come yet", "at", "give a time in the past, or none for now")
	case !at.IsZero() && now.Sub(at) > kept:
		return nil, problem(fault.Invalid, CodeRequest, fmt.Sprintf("history is kept for %d days", int(kept.Hours()/24)), "at", "give a later time")
	}
	people, err := e.model.find(tenant, name)
	if err != nil {
		return nil, err
	}
	who := people[0]
	decisions, err := e.decisions(ctx, who, at)
	if err != nil {
		return nil, err
	}
	teams, err := e.teamsOutcomes(ctx, who, at)
	if err != nil {
		return nil, err
	}
	var all []Explanation
	for _, line := range e.lines(who, decisions, at) {
		outcomes, err := e.outcomes(ctx, who, line, at)
		if err != nil {
			return nil, err
		}
		all = append(all, e.line(who, line, history{decisions, outcomes, teams}, at))
	}
	return all, nil
}

func retention(stream topology.Stream) time.Duration {
	for _, info := range topology.Streams() {
		if info.Name == stream {
			return info.MaxAge
		}
	}
	return 0
}

// errEnough ends a reading of history early.
var errEnough = errors.New("enough")

// past reads what a subject holds up to a moment, oldest first. at says when a message
// happened.
func past[T any](ctx context.Context, e explainer, stream topology.Stream, subject string, upTo time.Time,
	decode func([]byte) (T, error), at func(T) time.Time) ([]T, error) {
	var all []T
	err := e.bus.History(ctx, stream, subject, func(msg bus.Message) error {
		each, err := decode(msg.Data)
		if err != nil {
			e.model.skip(msg, err)
			return nil
		}
		if !upTo.IsZero() && at(each).After(upTo) {
			return errEnough
		}
		all = append(all, each)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return all, nil
}

// decisions returns a person's decisions up to a moment, oldest first.
func (e explainer) decisions(ctx context.Context, who identity.Person, at time.Time) ([]wire.Decision, error) {
	return past(ctx, e, topology.Decisions, wire.DecisionSubject(who), at, wire.DecodeDecision,
		func(d wire.Decision) time.Time { return d.At })
}

// outcomes returns what came of a person's wants for a line up to a moment.
func (e explainer) outcomes(ctx context.Context, who identity.Person, line identity.Line, at time.Time) ([]wire.Outcome, error) {
	all, err := past(ctx, e, topology.Outcomes, "outcome."+wire.LineKey(line), at, wire.DecodeOutcome,
		func(o wire.Outcome) time.Time { return o.EndedAt })
	return slices.DeleteFunc(all, func(o wire.Outcome) bool { return o.Person != who }), err
}

// teamsOutcomes returns what came of the wants for a person's Teams up to a moment.
func (e explainer) teamsOutcomes(ctx context.Context, who identity.Person, at time.Time) ([]wire.TeamsOutcome, error) {
	return past(ctx, e, topology.Outcomes, wire.TeamsOutcomeSubject(who), at, wire.DecodeTeamsOutcome,
		func(o wire.TeamsOutcome) time.Time { return o.EndedAt })
}

// lines are those linked now, or for a moment in the past those that the decision
// of then was about.
func (e explainer) lines(who identity.Person, decisions []wire.Decision, at time.Time) []identity.Line {
	var lines []identity.Line
	if !at.IsZero() && len(decisions) > 0 {
		for _, want := range decisions[len(decisions)-1].Wants {
			lines = append(lines, want.Line)
		}
	}
	if len(lines) == 0 {
		for _, line := range e.model.links.Of(who) {
			lines = append(lines, line.Line)
		}
	}
	slices.SortFunc(lines, byLine)
	return lines
}

// line explains one line.
func (e explainer) line(who identity.Person, line identity.Line, h history, at time.Time) Explanation {
	e.model.mu.RLock()
	defer e.model.mu.RUnlock()
	x := Explanation{Status: e.model.status(who, line), Chain: []Step{}}
	if !at.IsZero() {
		x.Status = h.status(e.model.named(who, line), line, at)
	}
	why := h.cause(line)
	now, chosen := e.model.options.Of(who)
	if why.chosen = chosen; at.IsZero() {
		why.paused = now.PausedUntil
	}
	x.Chain = append(x.Chain, why.chain()...)
	x.Sentence = sentence(x.Status, why, at)
	return x
}

// history is what is kept of one person, for one line, oldest first.
type history struct {
	decisions []wire.Decision
	outcomes  []wire.Outcome
	teams     []wire.TeamsOutcome
}

// status is what was so at a moment, as far as the history tells.
func (h history) status(s Status, line identity.Line, at time.Time) Status {
	decision := last(h.decisions)
	if decision != nil {
		s.decided(*decision, line)
	}
	s.ToTeams = toTeams(decision, last(h.teams))
	for _, o := range slices.Backward(h.outcomes) {
		shown := o.Before
		if o.Result == wire.Applied || o.Result == wire.Already {
			shown = o.Status
		}
		if shown != presence.Unset {
			s.Shown, s.AgeMS = shown.String(), ms(at.Sub(o.EndedAt))
			break
		}
	}
	for _, d := range slices.Backward(h.decisions) {
		if s.Teams = teamsOf(d, at); s.Teams != nil {
			break
		}
	}
	return s
}

// last is the last of all, or nil.
func last[T any](all []T) *T {
	if len(all) == 0 {
		return nil
	}
	return &all[len(all)-1]
}

// teamsOf is the newest Teams value that a decision rested on, or nil.
func teamsOf(d wire.Decision, at time.Time) *Teams {
	var t *Teams
	var newest time.Time
	for _, e := range d.Evidence {
		if e.Kind == kindPresence && !e.SeenAt.Before(newest) {
			availability, activity, _ := strings.Cut(e.Value, "/")
			t, newest = &Teams{Availability: availability, Activity: activity, AgeMS: ms(at.Sub(e.SeenAt))}, e.SeenAt
		}
	}
	return t
}

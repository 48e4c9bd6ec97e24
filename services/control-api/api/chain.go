package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Kinds of evidence, as the mapper writes them.
const (
	kindPresence = "m365.fact.presence"
	kindStatus   = "pbx.fact.status"
	kindCall     = "pbx.fact.call"
	// kindOptions is no fact: somebody asked for a status in Offhook.
	kindOptions = "options"
)

// cause is the change that made a line show what it shows: the decision, what came
// of it, and the newer decision that left it so, if there is one. Any may be nil.
type cause struct {
	line     identity.Line
	decision *wire.Decision
	outcome  *wire.Outcome
	upheld   *wire.Decision
	// told is what came of the wants for Teams last, and toldBy the decision behind it;
	// both nil where Teams has nothing to do with it.
	told   *wire.TeamsOutcome
	toldBy *wire.Decision
	paused time.Time // the end of the pause that is set now, or zero
	// chosen is the status that was set in Offhook last, or nil.
	chosen *presence.Chosen
}

// cause finds the change behind the newest decision. Decisions that want what is
// wanted already lead to no want and no outcome; then an earlier one did.
func (h history) cause(line identity.Line) cause {
	c := cause{line: line, decision: last(h.decisions)}
	if c.decision == nil {
		return c
	}
	h.carriedOut(&c)
	h.toldTeams(&c)
	return c
}

// carriedOut finds what came of the decision, or of the earlier one that it upholds.
func (h history) carriedOut(c *cause) {
	o, newest := last(h.outcomes), c.decision
	if o == nil {
		return
	}
	if o.Decision == newest.ID {
		c.outcome = o
		return
	}
	want, ok := wantOf(*newest, c.line)
	if !ok || o.Status != want.Status {
		return // not carried out yet
	}
	if behind := h.decision(o.Decision); behind != nil {
		c.decision, c.outcome, c.upheld = behind, o, newest
	}
}

// toldTeams finds what came of the wants for Teams, if they are of these decisions or
// something of ours is wanted there still.
func (h history) toldTeams(c *cause) {
	o := last(h.teams)
	if o == nil {
		return
	}
	behind, newest := h.decision(o.Decision), last(h.decisions)
	stands := newest.Teams != nil && !nothing(newest.Teams.Session, newest.Teams.Preferred)
	if behind != nil && (behind == c.decision || behind == c.upheld || stands) {
		c.told, c.toldBy = o, behind
	}
}

// decision finds a decision, or nil.
func (h history) decision(id string) *wire.Decision {
	for i := range h.decisions {
		if h.decisions[i].ID == id {
			return &h.decisions[i]
		}
	}
	return nil
}

func wantOf(d wire.Decision, line identity.Line) (wire.Want, bool) {
	for _, want := range d.Wants {
		if want.Line == line {
			return want, true
		}
	}
	return wire.Want{}, false
}

// chain lists the steps with the delay of each: first what led to what the line
// shows, then what graph-writer did, which goes on at the same time.
func (c cause) chain() []Step {
	if c.decision == nil {
		return nil
	}
	var steps steps
	if e, ok := c.seen(); ok {
		steps.add(Step{Step: "seen", Service: seenBy(e), Fact: e.Value, Detail: strings.TrimSpace(e.Kind + " " + e.Origin)}, e.SeenAt)
	}
	decided := func(d *wire.Decision) {
		steps.add(Step{Step: "decided", Service: string(topology.PresenceMapper), Decision: d.ID, Detail: wanted(*d, c.line)}, d.At)
	}
	decided(c.decision)
	if o := c.outcome; o != nil {
		steps.answered(topology.PBXWriter, o.Decision, "system "+string(o.Line.System), result(*o), o.Result, o.ReceivedAt, o.BeganAt, o.EndedAt)
	}
	if c.upheld != nil {
		decided(c.upheld)
	}
	if o := c.told; o != nil {
		if c.toldBy != c.decision && c.toldBy != c.upheld {
			decided(c.toldBy)
		}
		steps.last = c.toldBy.At
		steps.answered(topology.GraphWriter, o.Decision, "Microsoft Graph", resultOfTeams(*o), o.Result, o.ReceivedAt, o.BeganAt, o.EndedAt)
	}
	return steps.all
}

// steps is a chain in the making.
type steps struct {
	all  []Step
	last time.Time // of the step that the next one follows, or zero
}

// add adds a step; one without a time has not happened.
func (s *steps) add(step Step, at time.Time) {
	if at.IsZero() {
		return
	}
	step.At = at.UTC()
	if !s.last.IsZero() {
		step.MS = fineMS(at.Sub(s.last))
	}
	s.last = at
	s.all = append(s.all, step)
}

// answered adds the steps of a writer.
func (s *steps) answered(writer topology.Service, decision, whom, answer string, result wire.Result, received, began, ended time.Time) {
	s.add(Step{Step: "received", Service: string(writer), Decision: decision, Detail: "the want"}, received)
	s.add(Step{Step: "asked", Service: string(writer), Decision: decision, Detail: whom}, began)
	s.add(Step{Step: "answered", Service: string(writer), Outcome: result.String(), Detail: answer}, ended)
}

// seen is what a choice made in Offhook rests on, else the newest fact of the kind that
// triggered the decision, else the newest.
func (c cause) seen() (wire.Evidence, bool) {
	if c.byOrder() {
		return wire.Evidence{Kind: kindOptions, Value: c.chosen.Status.String(), Origin: "set in Offhook", SeenAt: c.chosen.At}, true
	}
	var found wire.Evidence
	for _, e := range c.decision.Evidence {
		switch better, best := e.Kind == c.decision.Trigger, found.Kind == c.decision.Trigger; {
		case found.Kind == "", better && !best, better == best && e.SeenAt.After(found.SeenAt):
			found = e
		}
	}
	return found, found.Kind != ""
}

// newest is the decision that is in force.
func (c cause) newest() *wire.Decision { return cmp.Or(c.upheld, c.decision) }

// byOrder says whether the decision rests on the status that was set in Offhook last: a
// claim knows since when it is.
func (c cause) byOrder() bool {
	want, ok := wantOf(*c.decision, c.line)
	if c.chosen == nil || !ok || want.Reason != presence.ByPerson.String() || c.chosen.Line != (identity.Line{}) && c.chosen.Line != c.line {
		return false
	}
	return slices.ContainsFunc(c.decision.Claims, func(claim wire.Claim) bool {
		return claim.Source == string(presence.ManualClaim) && claim.Status == c.chosen.Status && claim.Since.Equal(c.chosen.At)
	})
}

// seenBy names the service that saw a fact.
func seenBy(e wire.Evidence) string {
	switch {
	case e.Kind == kindOptions:
		return string(topology.ControlAPI)
	case e.Kind == kindStatus, e.Kind == kindCall:
		return string(topology.PBXWriter)
	case e.Kind == kindPresence && e.Origin == string(presence.Notification):
		return string(topology.WebhookReceiver)
	}
	return string(topology.GraphPoller) // presences that were read, and calendars
}

func wanted(d wire.Decision, line identity.Line) string {
	want, ok := wantOf(d, line)
	if !ok {
		return cmp.Or(d.Reason, "nothing is wanted")
	}
	text := want.Status.String() + " because of " + cmp.Or(want.Reason, d.Reason)
	if want.ProjectedFrom != presence.Unset {
		text += ", projected from " + want.ProjectedFrom.String()
	}
	return text
}

func result(o wire.Outcome) string {
	text := o.Status.String()
	if o.Result == wire.Applied && o.Before != presence.Unset {
		text = o.Before.String() + " -> " + text
	}
	if o.Detail != "" {
		text += ": " + o.Detail
	}
	return text
}

func resultOfTeams(o wire.TeamsOutcome) string {
	text := "nothing of ours"
	if t := toTeamsAfter(o); !nothing(t.Session, t.Preferred) {
		text = t.String()
	}
	if o.Detail != "" {
		text += ": " + o.Detail
	}
	return text
}

// sentence answers "why does 204 show dnd?", and says what Teams is made to show.
func sentence(s Status, c cause, at time.Time) string {
	text := sentenceOfLine(s, c, at)
	t := s.ToTeams
	if t == nil || nothing(t.Session, t.Preferred) {
		return text
	}
	text += "; Teams is made to show " + t.String()
	switch {
	case t.Result == "":
		return text + ", which is not carried out yet"
	case t.Result != wire.Applied.String() && t.Result != wire.Already.String():
		return text + ", in vain: " + cmp.Or(t.Detail, t.Result)
	case t.Detail != "":
		return text + " (" + t.Detail + ")"
	}
	return text
}

func sentenceOfLine(s Status, c cause, at time.Time) string {
	verb, showing := "shows ", cmp.Or(s.Shown, "nothing known")
	if !at.IsZero() {
		verb = "showed "
	}
	text := s.Extension + " " + verb + showing
	if c.decision == nil {
		return text + "; nothing has been decided about it in the time that is kept"
	}
	if s.Shown == s.Wanted || s.Wanted == "" {
		return text + " because " + because(s, c)
	}
	text += " although " + s.Wanted + " is wanted, because " + because(s, c)
	if o := c.outcome; o != nil && o.Result != wire.Applied && o.Result != wire.Already {
		return text + "; " + o.Result.String() + ": " + cmp.Or(o.Detail, "no reason was given")
	}
	return text + "; the phone system has not taken it yet"
}

// because words the reason of a decision.
func because(s Status, c cause) string {
	var text string
	reason, known := presence.ParseReason(s.Reason)
	switch {
	case strings.HasPrefix(s.Reason, "teams") && s.Teams != nil:
		text = "Teams says " + s.Teams.String()
		if known == nil && s.Reason != presence.ByTeams.String() {
			text += "; " + lower(reason.Explanation())
		}
	case known == nil && reason != presence.NoReason:
		text = lower(reason.Explanation())
	default:
		text = cmp.Or(s.Reason, "of no recorded reason")
	}
	if why, err := presence.ParseReason(c.newest().Reason); err == nil && reason == presence.Released && why != presence.NoReason && why != reason {
		text += ": " + lower(why.Explanation())
	}
	if end := c.end(s); end != nil {
		text += ", until " + end.Format(time.RFC3339)
	}
	if notes := c.notes(); len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// notes are how the cause became known, and how long the phone system took to show it.
func (c cause) notes() []string {
	var notes []string
	e, _ := c.seen()
	if e.Origin != "" {
		notes = append(notes, e.Origin)
	}
	if o := c.outcome; o != nil && o.Result == wire.Applied && !o.SeenAt.IsZero() {
		seen := o.SeenAt
		if e.Kind == kindOptions {
			seen = e.SeenAt
		}
		notes = append(notes, fmt.Sprintf("%d ms from seen to applied", ms(o.EndedAt.Sub(seen))))
	}
	return notes
}

// end is until when the reason is known to hold, or nil: the end of what stands in
// the calendar, or of a pause.
func (c cause) end(s Status) *time.Time {
	switch {
	case c.newest().Reason == presence.Paused.String() && c.paused.Before(options.Forever):
		return moment(c.paused)
	case strings.HasPrefix(s.Reason, string(presence.CalendarClaim)):
		for _, claim := range s.Claims {
			if claim.Source == string(presence.CalendarClaim) {
				return claim.Until
			}
		}
	}
	return nil
}

// lower makes a whole sentence part of another.
func lower(sentence string) string {
	sentence = strings.TrimSuffix(sentence, ".")
	if strings.HasPrefix(sentence, "Teams") || strings.HasPrefix(sentence, "Offhook") || sentence == "" {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

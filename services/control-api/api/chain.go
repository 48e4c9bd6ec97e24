package api

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Kinds of evidence, as the mapper writes them.
const (
	kindPresence = "m365.fact.presence"
	kindStatus   = "pbx.fact.status"
)

// cause is the change that made a line show what it shows: the decision, what came
// of it, and the newer decision that left it so, if there is one. Any may be nil.
type cause struct {
	line     identity.Line
	decision *wire.Decision
	outcome  *wire.Outcome
	upheld   *wire.Decision
}

// cause finds the change behind the newest decision. Decisions that want what is
// wanted already lead to no want and no outcome; then an earlier one did.
func (h history) cause(line identity.Line) cause {
	c := cause{line: line}
	if len(h.decisions) == 0 {
		return c
	}
	newest := &h.decisions[len(h.decisions)-1]
	c.decision = newest
	if len(h.outcomes) == 0 {
		return c
	}
	last := &h.outcomes[len(h.outcomes)-1]
	if last.Decision == newest.ID {
		c.outcome = last
		return c
	}
	want, ok := wantOf(*newest, line)
	if !ok || last.Status != want.Status {
		return c // not carried out yet
	}
	for i := range h.decisions {
		if h.decisions[i].ID == last.Decision {
			c.decision, c.outcome, c.upheld = &h.decisions[i], last, newest
		}
	}
	return c
}

func wantOf(d wire.Decision, line identity.Line) (wire.Want, bool) {
	for _, want := range d.Wants {
		if want.Line == line {
			return want, true
		}
	}
	return wire.Want{}, false
}

// chain lists the steps with the delay of each.
func (c cause) chain() []Step {
	if c.decision == nil {
		return nil
	}
	var steps []Step
	add := func(s Step, at time.Time) {
		if at.IsZero() {
			return
		}
		s.At = at.UTC()
		if n := len(steps); n > 0 {
			s.MS = fineMS(at.Sub(steps[n-1].At))
		}
		steps = append(steps, s)
	}
	if e, ok := c.seen(); ok {
		add(Step{Step: "seen", Service: seenBy(e), Fact: e.Value, Detail: strings.TrimSpace(e.Kind + " " + e.Origin)}, e.SeenAt)
	}
	decided := func(d *wire.Decision) {
		add(Step{Step: "decided", Service: string(topology.PresenceMapper), Decision: d.ID, Detail: wanted(*d, c.line)}, d.At)
	}
	decided(c.decision)
	if o := c.outcome; o != nil {
		writer := string(topology.PBXWriter)
		add(Step{Step: "received", Service: writer, Decision: o.Decision, Detail: "the want"}, o.ReceivedAt)
		add(Step{Step: "asked", Service: writer, Decision: o.Decision, Detail: "system " + string(o.Line.System)}, o.BeganAt)
		add(Step{Step: "answered", Service: writer, Outcome: o.Result.String(), Detail: result(*o)}, o.EndedAt)
	}
	if c.upheld != nil {
		decided(c.upheld)
	}
	return steps
}

// seen is the newest fact of the kind that triggered the decision, else the newest.
func (c cause) seen() (wire.Evidence, bool) {
	var found wire.Evidence
	for _, e := range c.decision.Evidence {
		switch better, best := e.Kind == c.decision.Trigger, found.Kind == c.decision.Trigger; {
		case found.Kind == "", better && !best, better == best && e.SeenAt.After(found.SeenAt):
			found = e
		}
	}
	return found, found.Kind != ""
}

// seenBy names the service that saw a fact.
func seenBy(e wire.Evidence) string {
	switch {
	case e.Kind == kindStatus:
		return string(topology.PBXWriter)
	case e.Origin == "notification":
		return string(topology.WebhookReceiver)
	}
	return string(topology.GraphPoller)
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

// sentence answers "why does 204 show dnd?".
func sentence(s Status, c cause, at time.Time) string {
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
	var notes []string
	if e, ok := c.seen(); ok && e.Origin != "" {
		notes = append(notes, e.Origin)
	}
	if o := c.outcome; o != nil && o.Result == wire.Applied && !o.SeenAt.IsZero() {
		notes = append(notes, fmt.Sprintf("%d ms from seen to applied", ms(o.EndedAt.Sub(o.SeenAt))))
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// lower makes a whole sentence part of another.
func lower(sentence string) string {
	sentence = strings.TrimSuffix(sentence, ".")
	if strings.HasPrefix(sentence, "Teams") || strings.HasPrefix(sentence, "Offhook") || sentence == "" {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

package mapper

import (
	"fmt"
	"strings"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// Triggers of a look on which something depends: the kinds of facts, a timer, and
// that links, options or the right to read Teams have changed.
const (
	presenceFact = "m365.fact.presence"
	calendarFact = "m365.fact.calendar"
	statusFact   = "pbx.fact.status"
	callFact     = "pbx.fact.call"
	written      = "outcome.presence" // what graph-writer has made of a want
	fired        = "fire"
	looked       = "change"
	optionsSet   = "options" // a status was set in Offhook
)

// about is the kind of fact that a subject names.
func about(m bus.Message) string {
	for _, kind := range []string{presenceFact, calendarFact, statusFact, callFact} {
		if strings.HasPrefix(m.Subject, kind+".") {
			return kind
		}
	}
	return ""
}

func presenceLook(fact wire.Presence, sequence uint64) look {
	r := fact.Reading
	return look{trigger: presenceFact, facts: []presence.Fact{r}, seen: r.SeenAt, evidence: []wire.Evidence{{
		Kind: presenceFact, Value: r.Availability + "/" + r.Activity, Origin: string(r.Source), SeenAt: r.SeenAt, Sequence: sequence,
	}}}
}

func statusLook(fact wire.Status, sequence uint64) look {
	r := fact.Reading
	return look{trigger: statusFact, facts: []presence.Fact{r}, seen: r.SeenAt, evidence: []wire.Evidence{{
		Kind: statusFact, Value: r.Line.String() + " " + r.Status.String(), Origin: string(r.Origin), SeenAt: r.SeenAt, Sequence: sequence,
	}}}
}

func calendarLook(fact wire.Calendar, sequence uint64) look {
	value := fact.Problem
	if value == "" {
		value = fmt.Sprintf("%d intervals", len(fact.Intervals))
	}
	reading := presence.CalendarReading{SeenAt: fact.SeenAt, Intervals: fact.Intervals, Problem: fact.Problem != ""}
	return look{trigger: calendarFact, facts: []presence.Fact{reading}, seen: fact.SeenAt, evidence: []wire.Evidence{{
		Kind: calendarFact, Value: value, Origin: string(presence.Poll), SeenAt: fact.SeenAt, Sequence: sequence,
	}}}
}

func callLook(fact wire.Call, sequence uint64) look {
	reading := presence.CallReading{Line: fact.Line, Calls: fact.Calls, Since: fact.Since, SeenAt: fact.SeenAt}
	return look{trigger: callFact, facts: []presence.Fact{reading}, seen: fact.SeenAt, evidence: []wire.Evidence{{
		Kind: callFact, Value: fmt.Sprintf("%s in %d calls", fact.Line, fact.Calls), Origin: "watch", SeenAt: fact.SeenAt, Sequence: sequence,
	}}}
}

package mapper

import (
	"strings"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// Triggers of a look on which something depends: what a line shows, and a timer.
const (
	statusFact = "pbx.fact.status"
	fired      = "fire"
)

// msgIs returns the payload if the subject begins with prefix.
func msgIs(m bus.Message, prefix string) ([]byte, bool) {
	return m.Data, strings.HasPrefix(m.Subject, prefix)
}

func presenceLook(fact wire.Presence, sequence uint64) look {
	r := fact.Reading
	return look{trigger: "m365.fact.presence", facts: []presence.Fact{r}, seen: r.SeenAt, evidence: []wire.Evidence{{
		Kind: "m365.fact.presence", Value: r.Availability + "/" + r.Activity, Origin: string(r.Source), SeenAt: r.SeenAt, Sequence: sequence,
	}}}
}

func statusLook(fact wire.Status, sequence uint64) look {
	r := fact.Reading
	return look{trigger: statusFact, facts: []presence.Fact{r}, seen: r.SeenAt, evidence: []wire.Evidence{{
		Kind: statusFact, Value: r.Line.String() + " " + r.Status.String(), Origin: string(r.Origin), SeenAt: r.SeenAt, Sequence: sequence,
	}}}
}

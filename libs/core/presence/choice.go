package presence

// phone lets a person choose on the phone system. What was chosen before the line
// was first read is a claim only if it still showed then and is not available.
func (r *replay) phone(e event) {
	own := r.line(e.Line)
	if own == nil {
		return
	}
	own.Observation = max(own.Observation, e.Observation)
	if r.o.Manual.Policy == Ignore {
		return
	}
	if known := r.memory.line(e.Line); known != nil && !e.At.After(known.First) {
		if e.Shows && e.Status != Available {
			e.At = known.First
			own.Manual, own.Expired = r.claim(e, e.Status, stays, Unset), false
		}
		return
	}
	for i := range r.Lines {
		if l := &r.Lines[i]; l == own || r.o.Manual.Scope == OnUser {
			r.choose(l, e)
		}
	}
}

// choose applies the three rules of docs/presence.md:
//
//	P rings | U rings | the claim
//	no      | any     | stays
//	yes     | no      | overrides U until U changes
//	yes     | yes     | yields to a dnd that comes later, and returns
//	P = U   |         | ends, unless it was given a time
//
// A U that is held back, because the sources want to ring, is not what would show: in a
// moment it does not. Who chooses it has chosen.
func (r *replay) choose(l *lineState, e event) {
	powers := r.powers(l)
	l.Manual, l.Expired = claim{}, false
	if r.o.PBX.of(e.Status) == clears {
		r.Cleared = e.At
	}
	over := l.Sources
	if over == Unset {
		over, _ = powers.Project(r.o.Base)
	}
	chosen := e.Status
	if e.Kind != phoneChoice || e.Line != l.Line {
		chosen, _ = powers.Project(chosen) // a phone system shows what it shows; elsewhere it must be possible
	}
	if chosen == Unset || chosen == over && e.Until.IsZero() && l.Rising.IsZero() {
		return
	}
	how := stays
	if powers.Ring.Has(chosen) {
		if how = overrides; powers.Ring.Has(over) {
			how = yields
		}
	}
	l.Manual = r.claim(e, e.Status, how, over)
}

func (r *replay) claim(e event, status Status, how rule, over Status) claim {
	c := claim{Status: status, Rule: how, Over: over, Since: e.At, Until: e.Until, OnPhone: e.Kind == phoneChoice}
	if c.Until.IsZero() && r.o.Manual.Policy == Auto && how != overrides {
		c.Until = r.o.Manual.Max.After(e.At, r.o.Manual.Zone)
	}
	return c
}

// holds says whether the claim is what shows, or yields to the sources. Only a
// dnd shows over a person's ringing status.
func (c claim) holds(sources Status) bool {
	return c != (claim{}) && !(c.Rule == yields && sources == DND)
}

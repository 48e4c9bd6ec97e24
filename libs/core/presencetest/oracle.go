package presencetest

import (
	"slices"
	"strings"
)

// History is everything that truly happened to a person.
type History struct {
	Ticks    int
	Readings []Reading // what Teams showed, from each At on; at most one per tick, in order
	Blind    []bool    // per tick: Teams could not be read
	Choices  []Choice  // in order; at most one per tick
	Lines    []Line
	Rules    Rules
}

// Reading is what Teams showed from a tick on.
type Reading struct {
	At                     int
	Availability, Activity string
}

// Choice is what a person chose: on the phone of Line, or in Offhook.
type Choice struct {
	At      int
	Line    int // -1: all lines (in Offhook only)
	Status  string
	Offhook bool
	Until   int // 0: no time given
}

// Line is an extension of the person.
type Line struct {
	First       int    // the tick of its first reading
	FirstStatus string // what it showed then, by a person's hand
	Rings       []string
	Writes      []string
}

// Rules is what an administrator has chosen.
type Rules struct {
	Policy               string // auto, until-cleared, ignore
	WholeUser            bool   // a choice counts on all lines
	Base                 string
	MaxAt                int // the tick at which manual_max comes round; later than Ticks: not in this history
	Damping, Keep, Stale int
	AwayDelay            int // Away counts only after as many ticks
}

// Expected returns, for each line and tick, the status that must be wanted; "" is
// nothing.
func Expected(h History) [][]string {
	opinion, read := h.opinions()
	wanted := make([][]string, len(h.Lines))
	sources := make([][]string, len(h.Lines))
	for i, line := range h.Lines {
		sources[i] = h.sources(line, opinion, read)
	}
	for i, line := range h.Lines {
		wanted[i] = h.line(i, sources[i])
		for t := range wanted[i] {
			if !read[t] || t < line.First {
				wanted[i][t] = ""
			}
		}
	}
	return wanted
}

// meaning is docs/presence.md: a status, "release" or "keep".
func meaning(r Reading) string {
	availability, activity := strings.ToLower(r.Availability), strings.ToLower(r.Activity)
	newer := []string{"inacall", "inaconferencecall", "inameeting", "presenting", "focusing", "urgentinterruptionsonly"}
	switch {
	case availability == "available" && activity == "outofoffice", availability == "offline", availability == "offwork":
		return "release"
	case availability == "available", availability == "availableidle":
		return "available"
	case slices.Contains([]string{"busy", "busyidle", "donotdisturb"}, availability), slices.Contains(newer, availability):
		return "dnd"
	case availability == "away", availability == "berightback":
		return "away"
	case slices.Contains(newer, activity):
		return "dnd"
	}
	return "keep"
}

// opinions returns what Teams wants at each tick ("": nothing), and whether it has
// been read by then.
func (h History) opinions() (opinion []string, read []bool) {
	opinion, read = make([]string, h.Ticks), make([]bool, h.Ticks)
	standing := "" // what Teams wants, the failure to read it apart
	for t := range h.Ticks {
		past := h.Readings[:countUntil(h.Readings, t)]
		if len(past) == 0 {
			continue
		}
		read[t] = true
		now := meaning(past[len(past)-1])
		began := len(past) - 1 // the reading with which Teams began to mean this
		for began > 0 && meaning(past[began-1]) == now {
			began--
		}
		stood := t - past[began].At
		switch {
		case now == "keep" && stood < h.Rules.Keep, now == "away" && stood < h.Rules.AwayDelay:
		case now == "keep", now == "release":
			standing = ""
		default:
			standing = now
		}
		if h.readable(t, past[len(past)-1].At) {
			opinion[t] = standing
		}
	}
	return opinion, read
}

// readable says whether Teams was read in the Stale ticks up to t. It is read at
// every tick that is not blind, and when it sent the last reading.
func (h History) readable(t, last int) bool {
	for back := t; back > t-h.Rules.Stale && back >= 0; back-- {
		if !h.Blind[back] && back >= h.Readings[0].At || back == last {
			return true
		}
	}
	return false
}

func countUntil(readings []Reading, t int) int {
	n := 0
	for n < len(readings) && readings[n].At <= t {
		n++
	}
	return n
}

func (l Line) rings(status string) bool { return slices.Contains(l.Rings, status) }

// possible is the projection of docs/presence.md.
func (l Line) possible(status string) string {
	if slices.Contains(l.Writes, status) {
		return status
	}
	return "available"
}

// sources returns U of docs/presence.md with damping: a status that rings replaces one
// that does not only when something that rings has been wanted for Damping ticks.
func (h History) sources(line Line, opinion []string, read []bool) []string {
	u := make([]string, h.Ticks)
	ringing := 0 // for how many ticks in a row, this one not counted, ringing was wanted
	for t := range u {
		raw := line.possible(h.Rules.Base)
		if opinion[t] != "" {
			raw = line.possible(opinion[t])
		}
		if t > 0 && read[t-1] && line.rings(raw) && !line.rings(u[t-1]) && ringing < h.Rules.Damping {
			u[t] = u[t-1]
		} else {
			u[t] = raw
		}
		if ringing++; !line.rings(raw) {
			ringing = 0
		}
	}
	return u
}

// line plays the person's choices against u.
func (h History) line(index int, u []string) []string {
	line := h.Lines[index]
	wanted := make([]string, h.Ticks)
	for t := range wanted {
		wanted[t] = u[t]
		if p, found := h.lastChoice(index, t, u); found {
			if status, holds := h.holds(line, p, t, u); holds {
				wanted[t] = status
			}
		}
	}
	return wanted
}

// choice is a Choice as one line has it.
type choice struct {
	Choice
	first bool // what showed when the line was linked
	own   bool // on this line's phone
}

// lastChoice returns what a person last chose that counts for the line at t.
func (h History) lastChoice(index, t int, u []string) (last choice, found bool) {
	line := h.Lines[index]
	ignored := h.Rules.Policy == "ignore"
	if t >= line.First && line.FirstStatus != "available" && !ignored {
		last, found = choice{Choice{At: line.First, Line: index, Status: line.FirstStatus}, true, true}, true
	}
	for _, c := range h.Choices {
		own := c.Line == index
		counts := own || c.Line == -1 || h.Rules.WholeUser
		if c.At > t || !counts || ignored && !c.Offhook || !c.Offhook && c.At < h.Lines[c.Line].First {
			continue
		}
		if !found || c.At >= last.At {
			last, found = choice{c, false, own && !c.Offhook}, true
		}
	}
	return last, found
}

// holds applies the three rules: whether P shows at t.
func (h History) holds(line Line, p choice, t int, u []string) (status string, holds bool) {
	if status = p.Status; !p.own { // what the phone itself shows is a person's and not touched
		status = line.possible(status)
	}
	under := u[p.At]
	if p.Status == "" || status == under && p.Until == 0 && !p.first {
		return "", false // chose what shows anyway, or cleared it
	}
	if p.Until > 0 && t >= p.Until {
		return "", false
	}
	overrides := line.rings(status) && !line.rings(under) && !p.first
	if h.Rules.Policy != "until-cleared" {
		if overrides {
			for _, later := range u[p.At : t+1] {
				if later != under {
					return "", false
				}
			}
		} else if p.Until == 0 && h.Rules.Policy == "auto" && p.At < h.Rules.MaxAt && t >= h.Rules.MaxAt {
			return "", false
		}
	}
	if line.rings(status) && line.rings(under) && !p.first && u[t] == "dnd" {
		return "", false // it returns afterwards
	}
	return status, true
}

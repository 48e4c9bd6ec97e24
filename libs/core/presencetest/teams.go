package presencetest

import (
	"slices"
	"strings"
)

// preferredFor is what a person's choice on the phone asks Teams to prefer; "clear" ends
// what is preferred.
var preferredFor = map[string]string{"dnd": "DoNotDisturb/DoNotDisturb", "away": "Away/Away", "available": "clear"}

const inACall = "Busy/InACall"

// pin returns the newest preferred presence, or nil.
func (t *table) pin() *own {
	for i := len(t.owns) - 1; i >= 0; i-- {
		if t.owns[i].preferred {
			return &t.owns[i]
		}
	}
	return nil
}

// pinned lets what Teams shows at a tick tell of the preferred presence.
func (t *table) pinned(now int) {
	p := t.pin()
	last, n := t.reading(now)
	if p == nil || n < 0 || p.lost || now > p.until || now == p.from {
		return
	}
	shown := func(r Reading) bool { return strings.EqualFold(r.Availability, pair(p.pair).Availability) }
	fresh := last.At == now
	stood := fresh && n > 0 && shown(t.Readings[n-1]) // until now
	if p.seen < 0 && (shown(last) || stood) {
		p.seen = now
	}
	read := last // that proves it, if any does
	read.At = now
	proves := p.set >= 0 && p.set < now && t.proved(last.At, now)
	signedOut := strings.EqualFold(last.Availability, "Offline") && !strings.EqualFold(last.Activity, "OffWork")
	if !proves || shown(last) || p.seen < 0 || signedOut || t.meaning(last) == "keep" || t.echoes(read, now, p) {
		return
	}
	if p.lost = true; t.mode() == "both" {
		t.lost[p.choice] = now
	}
}

// proved says whether what Teams shows since a tick was read for the first time now: what
// a notification tells may be over, and replaces nothing.
func (t *table) proved(since, now int) bool {
	told := func(tick int) bool { return t.Told != nil && t.Told[tick] }
	for tick := since; tick < now; tick++ {
		if !told(tick) {
			return false // it was read then
		}
	}
	return !told(now)
}

// show decides what Teams should show.
func (t *table) show(now int) Teams {
	var was Teams
	if now > 0 {
		was = t.shown[now-1]
	}
	writes := (t.mode() == "both" || t.mode() == "pbx-to-teams") && !t.Rules.Absent
	if !writes || t.paused(now) || t.mode() == "both" && t.denied(now) {
		return t.hide(was, now)
	}
	if t.mode() == "both" && countUntil(t.Readings, now) == 0 {
		return was
	}
	is := was
	is.Released = false
	is.Session, is.SessionUntil = t.session(now)
	t.prefer(&is, now)
	if is.Session == "" && is.Preferred == "" && (!was.Ever || was.Released) {
		return was
	}
	is.Ever = true
	return is
}

// session returns what the session must show: the lines in a call that was confirmed
// less than CallFor ago.
func (t *table) session(now int) (shows string, until int) {
	for i := range t.Lines {
		word := Call{At: -1}
		for _, c := range t.Calls {
			if c.Line == i && c.At <= now {
				word = c
			}
		}
		if word.Calls > 0 && now < word.At+t.Rules.CallFor {
			shows, until = inACall, max(until, word.At+t.Rules.CallFor)
		}
	}
	// A session that follows another while that may still echo is the same: Teams may
	// show one Busy from the one to the other.
	live := slices.IndexFunc(t.owns, func(o own) bool { return !o.preferred && now < t.echoesUntil(o) })
	switch {
	case shows != "" && live < 0:
		t.owns = append(t.owns, own{pair: shows, from: now, until: until})
	case shows != "":
		t.owns[live].until, t.owns[live].lasts = max(until, t.owns[live].until), 0
	case live >= 0:
		t.owns[live].end(now)
	}
	return shows, until
}

// prefer decides what is to be preferred: what the newest living choice asks for,
// once for each choice, for as long as the person does not replace it.
func (t *table) prefer(is *Teams, now int) {
	choice, wants := t.preference(now)
	p := t.pin()
	if is.Preferred != "" {
		visible := p.seen >= 0 && p.seen <= p.from+t.Rules.VisibleIn
		last, _ := t.reading(now)
		shows := strings.EqualFold(last.Availability, pair(p.pair).Availability)
		switch {
		case p.lost, now >= p.until:
			is.Preferred, is.PreferredUntil, is.Disowned, p.until = "", 0, true, min(p.until, now)
		case wants != "" && choice == p.choice:
			if visible && shows && now >= p.until-t.Rules.PreferredFor/2 {
				p.until = now + t.Rules.PreferredFor
			}
			is.PreferredUntil = p.until
			return
		default:
			is.Preferred, is.PreferredUntil = "", 0
			p.end(now)
		}
	}
	if wants == "" || p != nil && choice <= p.choice {
		return
	}
	is.Preferred, is.PreferredUntil, is.Disowned = wants, now+t.Rules.PreferredFor, false
	t.owns = append(t.owns, own{pair: wants, preferred: true, from: now, until: is.PreferredUntil, choice: choice, set: -1, seen: -1})
}

// preference returns the newest choice that lives on some line and is neither older
// than one that clears nor means nothing for Teams.
func (t *table) preference(now int) (choice int, wants string) {
	choice = -1
	cleared := -1
	for _, c := range slices.Backward(t.Choices) { // the newest first
		counts := c.At <= now && (c.Offhook || t.Rules.Policy != "ignore")
		if counts && preferredFor[c.Status] == "clear" {
			cleared = c.At
			break
		}
	}
	for i, line := range t.Lines {
		p, found := t.lastChoice(i, now)
		if !found || p.At <= cleared || p.At <= choice {
			continue
		}
		_, lives, _ := t.holds(line, p, now, t.u[i])
		if shows := preferredFor[p.Status]; lives && shows != "" && shows != "clear" {
			choice, wants = p.At, shows
		}
	}
	return choice, wants
}

// hide releases once.
func (t *table) hide(was Teams, now int) Teams {
	if !was.Ever || was.Released {
		return was
	}
	is := Teams{Disowned: was.Disowned, Released: true, Ever: true}
	if p := t.pin(); was.Preferred != "" {
		if is.Disowned = p.lost || now >= p.until; is.Disowned {
			p.until = min(p.until, now) // the person's shows
		} else {
			p.choice-- // it may be wanted again, and nothing older
		}
	}
	for i := range t.owns {
		t.owns[i].end(now)
	}
	return is
}

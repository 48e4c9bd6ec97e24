package presencetest

import "strings"

// own is something that Offhook wanted Teams to show: a session, or a preferred
// presence with the tick of the choice that caused it.
type own struct {
	pair        string
	preferred   bool
	from, until int
	lasts       int // until when it shows though it was to end at until: to its own end, or until it was cleared
	choice      int
	set         int // the tick at which it was set, or -1
	seen        int // the tick at which Teams showed it, or -1
	lost        bool
}

// written makes what is preferred set and what has ended show no more, unless nothing can
// be written or the same is wanted again.
func (t *table) written(now int) {
	if t.Refused != nil && t.Refused[now] {
		return
	}
	for i := range t.owns {
		o, wanted := &t.owns[i], t.shown[now].Session
		if o.preferred {
			wanted = t.shown[now].Preferred
		}
		switch {
		case o.until <= now && o.pair != wanted:
			o.lasts = min(o.lasts, now)
		case o.until > now && o.pair == wanted && o.set < 0:
			o.set = now
		}
	}
}

// end makes something own end, which shows until it is cleared.
func (o *own) end(now int) {
	if now < o.until {
		o.until, o.lasts = now, o.until
	}
}

// echoesUntil returns the tick from which on it echoes no more.
func (t *table) echoesUntil(o own) int { return max(o.until, o.lasts) + t.Rules.Mask }

// echoes says whether a reading may at a tick be something own, or one that followed on that
// before it echoed no more; for a preferred presence, whether it may be another one: above
// all sessions shows what is preferred.
func (t *table) echoes(r Reading, now int, but *own) bool {
	until := 0
	for i := range t.owns {
		o := &t.owns[i]
		may := o != but && (but == nil || o.preferred) && (o.from < r.At && r.At < t.echoesUntil(*o) || o.from < until)
		if may && strings.EqualFold(pair(o.pair).Availability, r.Availability) && t.meaning(pair(o.pair)) == t.meaning(r) {
			until = max(until, t.echoesUntil(*o))
		}
	}
	return now < until
}

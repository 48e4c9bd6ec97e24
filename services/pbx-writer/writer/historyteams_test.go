package writer

import (
	"strings"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
)

const sweepEvery = 10 * time.Second

// lookAtTeams notices that Teams shows something else.
func (h *history) lookAtTeams() {
	if shows := h.teams.Shows(); shows != h.shown {
		h.shown = shows
		h.notify(shows)
	}
	h.sweepSoon()
}

// notify is Graph: a notification may be lost, doubled, late.
func (h *history) notify(shows string) {
	if h.chance(30) {
		return
	}
	for range 1 + h.r.IntN(5)/4 {
		hi := 2_000
		if h.chance(10) {
			hi = 8_000
		}
		h.soon(50, hi, func() { h.publishReading(shows, presence.Notification, h.now) })
	}
}

// sweepSoon lets the next sweep find what differs, and confirm what was told.
func (h *history) sweepSoon() {
	if h.sweeping || h.without.sweep || h.stored.Source == presence.Poll && h.shown == h.stored.Availability+"/"+h.stored.Activity {
		return
	}
	h.sweeping = true
	h.at(h.lastSweep().Add(sweepEvery), func() {
		began := h.now
		h.soon(10, 500, func() { // a request takes a while
			shows := h.teams.Shows()
			h.soon(10, 300, func() {
				h.sweeping = false
				h.publishReading(shows, presence.Poll, began)
				h.sweepSoon()
			})
		})
	})
}

// lastSweep is when the last sweep began.
func (h *history) lastSweep() time.Time {
	first := h.start.Add(h.phase - sweepEvery)
	return first.Add(h.now.Sub(first).Truncate(sweepEvery))
}

// publishReading publishes what Teams shows over an older fact that says something else,
// or that a poll has not confirmed yet.
func (h *history) publishReading(shows string, source presence.Source, seen time.Time) {
	fact := presence.TeamsReading{Source: source, SeenAt: seen}
	fact.Availability, fact.Activity, _ = strings.Cut(shows, "/")
	if !fact.SeenAt.After(h.stored.SeenAt) || source == presence.Poll && h.stored.Source == source && fact.Availability == h.stored.Availability && fact.Activity == h.stored.Activity {
		return
	}
	if shows != h.teams.Shows() {
		h.seen.Stale = append(h.seen.Stale, h.tickNow())
	}
	h.stored = fact
	h.note("stored: %s by %s, seen at %.3f", shows, source, h.since(seen))
	h.deliver(fact)
	h.sweepSoon() // a late notification may have said what is over
}

// writeTeams is graph-writer, with the newest want.
func (h *history) writeTeams() {
	w := h.inTeams
	if w.Session != h.teams.Session {
		h.wrote("session")
		h.teams.Session = w.Session
	}
	if h.ends = w.SessionUntil; w.Session != "" {
		h.at(h.ends, func() {
			if h.teams.Session != "" && !h.ends.After(h.now) {
				h.teams.Session = ""
				h.lookAtTeams()
			}
		})
	}
	switch asked := w.Preferred + "@" + w.PreferredUntil.String(); {
	case w.Disowned:
		h.ours = ""
	case w.Preferred == "" && h.ours != "":
		if ours, _, _ := strings.Cut(h.ours, "@"); h.teams.Explains(ours) { // it looks before it clears
			h.wrote("preferred")
			h.teams.Preferred, h.pinEnds = "", time.Time{}
		}
		h.ours = ""
	case w.Preferred != "" && h.ours != asked:
		if h.teams.Preferred != w.Preferred || h.pinEnds.IsZero() {
			h.wrote("preferred")
		}
		h.teams.Preferred, h.pinEnds, h.ours = w.Preferred, w.PreferredUntil, asked
		h.at(w.PreferredUntil, func() {
			if !h.pinEnds.IsZero() && !h.pinEnds.After(h.now) {
				h.teams.Preferred, h.pinEnds = "", time.Time{}
				h.lookAtTeams()
			}
		})
	}
	h.lookAtTeams()
	h.written(w)
}

// written is graph-writer's word on a want, which counts as long as that is the newest.
func (h *history) written(w presence.TeamsWant) {
	word := presence.TeamsWritten{Session: w.Session, At: h.now}
	word.Preferred, _, _ = strings.Cut(h.ours, "@")
	hi := 300
	if h.chance(3) { // it is lost, and comes again
		hi = 4_000
	}
	h.soon(1, hi, func() {
		if h.inTeams == w {
			h.decide(word)
		}
	})
}

func (h *history) wrote(target string) {
	h.note("writes %s", target)
	h.seen.Writes = append(h.seen.Writes, presencetest.Write{At: h.tickNow(), Target: target})
}

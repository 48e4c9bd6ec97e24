package writer

import (
	"context"
	"time"

	"offhook.dev/libs/core/presence"
)

// fought says whether a line is left alone because something else keeps changing what
// we write there: ten times in a minute our write was over a status that was not ours
// (docs/presence.md). The want stays in its stream, and the first pass after the pause
// carries the newest one out. Writes over what is our own do not count: somebody whose
// Teams changes ten times in a minute is not fought over. l.mu is held.
func (s *system) fought(ctx context.Context, l *line, now time.Time) bool {
	if l.stopped(now) {
		return true
	}
	if !l.disputed() || l.noted().breaker.Allows(now, 0, s.w.opts.Pause) {
		return false
	}
	s.w.metrics.fought(ctx, s.id)
	s.log.Warn("breaker: something else keeps changing what an extension shows; it is left alone for a while",
		"extension", l.id.Extension, "shows", l.status.String(), "until", l.rare.breaker.Until(),
		"advice", "find the program that sets this extension as well and stop one of the two; with manual.policy auto what it sets counts as the person's choice")
	return true
}

// stopped says whether a pause is under way. l.mu is held.
func (l *line) stopped(now time.Time) bool { return l.rare != nil && l.rare.breaker.Stopped(now) }

// disputed says whether a write now would be over something that was not ours. l.mu is
// held.
func (l *line) disputed() bool { return l.origin != presence.Ours }

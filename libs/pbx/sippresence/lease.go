package sippresence

import (
	"context"
	"errors"
	"time"
)

var errNotOurs = errors.New("the extensions may be another process's by now")

// Until names until when the extensions are this process's alone; without it they always
// are. It is asked before what no caller waits for is sent: refreshes, lamps, and what Close
// takes back. All of these hide what another process has published since, because the
// newest is what the server shows: to Kamailio (5.6.3) a refresh is as new as a document,
// and of what is taken back phones are told that the extension is closed, or not in a call.
func (d *driver) Until(until func() time.Time) { d.until.Store(&until) }

// ours derives the context of something that no caller waits for. It has ended already
// where the extensions are another process's.
func (d *driver) ours(ctx context.Context, patience time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, cause)
	until := d.until.Load()
	if until == nil {
		return ctx, cancel
	}
	ctx, end := context.WithDeadlineCause(ctx, (*until)(), errNotOurs)
	return ctx, func() { end(); cancel() }
}

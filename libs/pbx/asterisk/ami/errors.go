package ami

import (
	"context"
	"errors"
	"fmt"
)

// ErrClosed is why a connection ended that this side closed.
var ErrClosed = errors.New("the connection was closed by this side")

// ErrSilent is why a connection ended on which nothing came any more.
var ErrSilent = errors.New("the other side does not answer any more")

// ErrLate is an action that was not sent because its deadline had passed. It is a
// context.DeadlineExceeded.
var ErrLate = fmt.Errorf("the deadline passed before the action was sent: %w", context.DeadlineExceeded)

// Refusal is an answer "Response: Error".
type Refusal struct {
	Action  string
	Message string // what Asterisk says, as it came
}

// Error names the action and what was said about it; it never has values of the action.
func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Action + " was refused"
	}
	return r.Action + " was refused: " + printable(r.Message)
}

// LostError is the end of a connection.
type LostError struct {
	Sent bool // the action left before, and may have been done
	Err  error
}

// Error returns the reason.
func (e *LostError) Error() string { return "the connection was lost: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *LostError) Unwrap() error { return e.Err }

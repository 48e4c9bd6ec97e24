// Package fault classifies errors once, where they are understood. The edge that
// speaks to the other side turns a status and a body into a Kind; everything
// above asks KindOf and never reads a message.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind is the class of an error: what can be done about it.
type Kind uint8

// The kinds. Whether one is worth another try is Kind.Retryable.
const (
	Unknown     Kind = iota // nobody classified it
	Invalid                 // the request or message itself is wrong; trying again cannot help
	Denied                  // credentials or rights are missing; a person must act
	NotFound                // the object is not there
	Conflict                // it exists already, or somebody was faster
	Gone                    // a cursor or session is no longer valid: start over
	Throttled               // too fast; RetryAfter says when to come back
	Unavailable             // the other side is down or unreachable
	Timeout                 // no answer in time: the effect is unknown, read before trying again
	Unsupported             // the other side cannot do this
	Stale                   // ours is older than what is known
	Cancelled               // the caller gave up
)

var kindNames = [...]string{"unknown", "invalid", "denied", "not-found", "conflict", "gone", "throttled",
	"unavailable", "timeout", "unsupported", "stale", "cancelled"}

// String returns the kind as it appears in logs and metric labels.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Retryable says whether the same request can succeed later without anybody
// changing anything.
func (k Kind) Retryable() bool {
	switch k {
	case Throttled, Unavailable, Timeout, Unknown, Conflict:
		return true
	}
	return false
}

// Error is a classified error. Op says what was tried ("threecx: set status").
type Error struct {
	Kind       Kind
	Op         string
	RetryAfter time.Duration // how long the other side asked us to wait; 0 when it did not say
	Err        error         // the cause, or nil
}

// Error returns "op: cause" without repeating the kind where the cause says it.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Op, e.Kind)
	}
	return fmt.Sprintf("%s: %v", e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New classifies err as kind, having happened during op. err may be nil.
func New(kind Kind, op string, err error) error { return &Error{Kind: kind, Op: op, Err: err} }

// Errorf is New with a formatted cause; %w works.
func Errorf(kind Kind, op, format string, args ...any) error {
	return &Error{Kind: kind, Op: op, Err: fmt.Errorf(format, args...)}
}

// After classifies err as Throttled or Unavailable with the delay that the other
// side asked for.
func After(kind Kind, op string, delay time.Duration, err error) error {
	return &Error{Kind: kind, Op: op, RetryAfter: delay, Err: err}
}

// KindOf returns the kind of the outermost classified error in err's chain, else
// Timeout or Cancelled for a context's errors, else Unknown. nil is Unknown too;
// do not ask about nil.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Unknown
}

// RetryAfter returns the delay that the other side asked for, or 0.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// FromHTTP returns the kind of an HTTP status code of 400 and above. A vendor's
// edge asks this last, after the codes whose meaning it knows better.
func FromHTTP(status int) Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusPaymentRequired:
		return Denied
	case http.StatusNotFound:
		return NotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return Conflict
	case http.StatusGone:
		return Gone
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Timeout
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return Unsupported
	}
	switch {
	case status >= 500:
		return Unavailable
	case status >= 400:
		return Invalid
	}
	return Unknown
}

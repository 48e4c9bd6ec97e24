package pbx

import (
	"context"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Dialer is the power to make a call for somebody, as a click on a number does.
type Dialer interface {
	// Dial makes a phone of an extension ring, and calls number as soon as it is picked
	// up. It returns when the phone system has taken the order: whether anybody picks up
	// is nobody's knowledge. Twice is two calls, so after Timeout, when the phone may ring
	// already, it is for a person to ask again. NotFound: there is no such extension. A
	// number that CheckDial refuses is Invalid and never sent; one that leads nowhere is
	// Invalid where the phone system says so at once.
	Dial(ctx context.Context, ext identity.Extension, number string) error
}

// dialLimit is how long a number may be: E.164 has 15 digits, and there is something
// before and after it, such as an access code or a conference's PIN.
const dialLimit = 40

// CheckDial says why a number cannot be dialled: Invalid. What can is what a telephone
// has keys for, digits, * and #, after a + or without one. Everything else (a domain, a
// second number, an option) would mean something to some dialplan.
func CheckDial(op, number string) error {
	keys := strings.TrimPrefix(number, "+")
	switch {
	case keys == "" || strings.ContainsFunc(keys, noKey):
		return fault.Errorf(fault.Invalid, op, "what is to be dialled is no number: digits, * and #, after a + or without")
	case len(keys) > dialLimit:
		return fault.Errorf(fault.Invalid, op, "what is to be dialled has %d keys: %d are the most", len(keys), dialLimit)
	}
	return nil
}

func noKey(r rune) bool { return (r < '0' || r > '9') && r != '*' && r != '#' }

// Dial is the optional power Dialer; Unsupported without it. A call whose order ended in
// Timeout is not ordered again.
func (s *System) Dial(ctx context.Context, ext identity.Extension, number string) error {
	const op = "dial"
	if s.dialer == nil {
		return fault.New(fault.Unsupported, s.named(op), errNoPower)
	}
	if err := CheckDial(s.named(op), number); err != nil {
		return err
	}
	return s.do(ctx, call{op: op, ext: ext, lane: urgent, write: true}, func(ctx context.Context) error {
		return s.dialer.Dial(ctx, ext, number)
	})
}

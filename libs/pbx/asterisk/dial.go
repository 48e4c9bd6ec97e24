package asterisk

import (
	"context"
	"strconv"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
)

// dialling is a Driver that may originate calls.
type dialling struct{ *Driver }

// Capabilities are those of the driver, and that it dials.
func (d dialling) Capabilities() pbx.Capabilities {
	c := d.Driver.Capabilities()
	c.Dial = true
	return c
}

// ringing is for how long a phone rings before Asterisk gives up.
const ringing = 30 * time.Second

// Dial is pbx.Dialer: Originate rings the first phone of the extension's hint, past
// do-not-disturb and whatever else the dialplan has for calls to the extension, because
// it is the person at that phone who calls. Which phones there are is asked first.
// Asynchronous means that the answer is about the order and not about the call.
func (d dialling) Dial(ctx context.Context, ext identity.Extension, number string) error {
	const op = "asterisk: dial"
	if err := pbx.CheckDial(op, number); err != nil {
		return err
	}
	s, err := d.connected(ctx, op)
	if err != nil {
		return err
	}
	phone, err := s.phone(ctx, op, ext)
	if err != nil {
		return err
	}
	return s.write(ctx, op, ami.NewAction("Originate",
		"Channel", phone, "Context", d.config.DialContext, "Exten", number, "Priority", "1",
		"CallerID", string(ext), "Timeout", strconv.FormatInt(ringing.Milliseconds(), 10), "Async", "true"))
}

// phone is the first phone of an extension: NotFound if there is no such extension.
func (s *session) phone(ctx context.Context, op string, ext identity.Extension) (string, error) {
	if len(s.config.Extensions) > 0 {
		if _, err := s.devices(ctx, op, ext); err != nil {
			return "", err
		}
		return of(s.config.Device, ext), nil
	}
	h, found, err := s.hint(ctx, op, ext)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fault.Errorf(fault.NotFound, op, "there is no extension %s", ext)
	case len(h.phones) == 0:
		return "", fault.Errorf(fault.Invalid, op, "the hint of %s names no phone", ext)
	}
	return h.phones[0], nil
}

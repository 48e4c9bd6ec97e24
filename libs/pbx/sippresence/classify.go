package sippresence

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

var (
	errClosed      = errors.New("the driver is closed")
	errNoAccount   = errors.New("the presence server asks for credentials, and none are configured")
	errUnconfirmed = errors.New("the request was sent, and no answer came")
	errTooLarge    = errors.New("the request is too large for udp: use tcp or tls")
	errNoLamps     = errors.New("lamps stay dark, statuses are shown all the same")
)

// kindOf is the kind of a final response that is not a success (RFC 3261 section
// 21, RFC 3903 section 11). All of them mean that nothing was changed, but for 408
// and 504: a proxy gave up waiting, and the server behind it may have done it.
func kindOf(status int) fault.Kind {
	switch status {
	case 401, 402, 403, 407, 433, 603:
		return fault.Denied
	case 404, 410, 604:
		return fault.NotFound
	case 408, 504:
		return fault.Timeout
	case 480, 481, 486, 491, 600:
		return fault.Unavailable
	case 501, 505, 513, 580: // failures of the request that have a 5xx code
		return fault.Invalid
	}
	if status >= 500 && status < 600 {
		return fault.Unavailable
	}
	return fault.Invalid // 3xx too: a redirect is not followed
}

// noLamps says whether a final response to a request for Event: dialog means that there
// will never be lamps on this server: it does not know the event (489, RFC 3903 section
// 6), its documents (415), or anything like it.
func noLamps(status int) bool {
	return status == 405 || status == 415 || status == 489 || status == 501
}

// advice is what a person needs to know about a code, beyond its reason phrase.
func advice(event Event, status int) string {
	switch {
	case status >= 300 && status < 400:
		return "redirects are not followed: configure the server that it names"
	case status == 401 || status == 407:
		return "the username or the password is wrong"
	case status == 403:
		return "the account may not publish or watch for this extension"
	case event == Dialog && noLamps(status):
		return "it does not serve Event: dialog: load its module for dialog-info (Kamailio: presence_dialoginfo), or configure no lamps"
	case status == 405 || status == 489 || status == 501:
		return "it is no presence server, or not for Event: presence"
	case status == 415:
		return "it does not take " + pidfType
	case status == 423:
		return "its Min-Expires is missing or absurd"
	}
	return ""
}

// refused classifies a final response that is not a success.
func refused(op string, event Event, res *sip.Response) error {
	err := fmt.Errorf("the presence server answers %d %s", res.StatusCode, printable(res.Reason))
	if hint := advice(event, res.StatusCode); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	if event == Dialog && noLamps(res.StatusCode) {
		err = fmt.Errorf("%w: %w", errNoLamps, err)
	}
	// Without Retry-After a 503 is like a 500, and with it a 500 like a 503: the condition
	// is a passing one, and nothing was changed (RFC 3261 sections 21.5.1 and 21.5.4).
	if wait := seconds(res, "Retry-After"); (res.StatusCode == 500 || res.StatusCode == 503) && wait > 0 {
		return fault.After(fault.Throttled, op, wait, err)
	}
	return fault.New(kindOf(res.StatusCode), op, err)
}

// reasonLimit bounds, in characters, what of a server's words is repeated.
const reasonLimit = 200

// printable is a server's words on one line, cut where they are too long.
func printable(text string) string {
	line := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(line); len(runes) > reasonLimit {
		return string(runes[:reasonLimit]) + "..."
	}
	return line
}

// unreachable classifies an error from before the request left.
func unreachable(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	var (
		invalid   *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		expired   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &invalid), errors.As(err, &authority), errors.As(err, &name), errors.As(err, &expired):
		return fault.New(fault.Denied, op, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
	case errors.Is(err, sip.ErrUDPMTUCongestion):
		return fault.New(fault.Invalid, op, errTooLarge)
	}
	return fault.New(fault.Unavailable, op, err)
}

// unanswered classifies an error from after the request left: whatever it is,
// nobody knows what became of the request.
func unanswered(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, sip.ErrTransactionTransport) {
		return fault.Errorf(fault.Timeout, op, "%w: the connection broke", errUnconfirmed)
	}
	return fault.New(fault.Timeout, op, errUnconfirmed)
}

// seconds reads a header whose value begins with a number of seconds, as Expires,
// Min-Expires and Retry-After do ("18000;duration=3600", "120 (lunch)"). 0 if it is
// missing, senseless or more than a day.
func seconds(msg interface{ GetHeader(string) sip.Header }, name string) time.Duration {
	header := msg.GetHeader(name)
	if header == nil {
		return 0
	}
	digits := strings.TrimSpace(header.Value())
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if d := time.Duration(n) * time.Second; err == nil && d <= longestExpires {
		return d
	}
	return 0
}

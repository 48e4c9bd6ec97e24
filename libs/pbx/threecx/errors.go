package threecx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// failure classifies a round trip that brought no answer. A read has no effect to
// wonder about, and what has not left has none either; a write that may have left is
// Timeout.
func failure(ctx context.Context, op string, left, read bool, err error) error {
	cause := ctx.Err()
	if cause != nil && !left && errors.Is(context.Cause(ctx), errNoAnswer) { // our bound, not the caller's
		return fault.Errorf(fault.Unavailable, op, "%w: no connection in time: %w", pbx.ErrRefused, err)
	}
	if cause != nil {
		return fault.New(fault.KindOf(cause), op, context.Cause(ctx))
	}
	var (
		unknownAuthority x509.UnknownAuthorityError
		wrongHost        x509.HostnameError
		badCertificate   x509.CertificateInvalidError
		verification     *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, pbx.ErrLate): // before the context has noticed
		return fault.New(fault.Timeout, op, err)
	case errors.As(err, &verification), errors.As(err, &unknownAuthority), errors.As(err, &wrongHost), errors.As(err, &badCertificate):
		return fault.Errorf(fault.Denied, op, "the certificate is not trusted (ca_file?): %w", err)
	case left && !read:
		return fault.New(fault.Timeout, op, err)
	case refused(err), !left && unanswered(err):
		return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
	}
	return fault.New(fault.Unavailable, op, err)
}

// refused says whether a connection was turned away or cut, as by a phone system that is
// down, or that has our address on its block list.
func refused(err error) bool {
	for _, end := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// unanswered says whether nothing at all came back from where the connection was to be
// made: a block list may drop what comes instead of turning it away. A name that nobody
// knows is no such place.
func unanswered(err error) bool {
	var (
		name    *net.DNSError
		network net.Error
	)
	return !errors.As(err, &name) && errors.As(err, &network) && network.Timeout()
}

// refusal classifies an HTTP status that is not success. now is for Retry-After
// given as a date.
//
//	status          read          write
//	402, 403        Denied (pbx.ErrLicence if it says so)
//	404, 429, 503   NotFound, Throttled, Unavailable
//	500, 502, 5xx   Unavailable   Timeout: it may have happened
//	2xx not asked   Unavailable   Timeout
//	1xx, 3xx        Invalid: the URL leads to something that is no 3CX
//	others          fault.FromHTTP
func refusal(op string, write bool, status int, header http.Header, body []byte, now time.Time) error {
	said := parseError(body)
	cause := &httpError{status, said}
	unsure := fault.Unavailable
	if write {
		unsure = fault.Timeout
	}
	switch {
	case status == http.StatusPaymentRequired || status == http.StatusForbidden && said.aboutLicence():
		return fault.Errorf(fault.Denied, op, "%w: %w", pbx.ErrLicence, cause)
	case status == http.StatusTooManyRequests:
		return fault.After(fault.Throttled, op, retryAfter(header, now), cause)
	case status == http.StatusServiceUnavailable:
		return fault.After(fault.Unavailable, op, retryAfter(header, now), cause)
	case status >= 200 && status < 300:
		return fault.New(unsure, op, cause)
	case status < 400:
		return fault.New(fault.Invalid, op, cause)
	case fault.FromHTTP(status) == fault.Unavailable:
		return fault.New(unsure, op, cause)
	}
	return fault.New(fault.FromHTTP(status), op, cause)
}

// httpError is a status and what the phone system said about it.
type httpError struct {
	status int
	said   odataError
}

func (e *httpError) Error() string {
	text := "HTTP " + strconv.Itoa(e.status)
	if e.said.Code != "" {
		text += " " + e.said.Code
	}
	if e.said.Message != "" {
		text += ": " + e.said.Message
	}
	return text
}

// odataError is an OData 4 error as far as it is used
// (docs.oasis-open.org/odata/odata-json-format/v4.01, section 21).
type odataError struct{ Code, Message string }

// parseError reads an error body, which may be anything. What it returns is fit
// to print: one line, bounded.
func parseError(body []byte) odataError {
	var envelope struct{ Error odataError }
	if json.Unmarshal(body, &envelope) != nil {
		return odataError{}
	}
	return odataError{printable(envelope.Error.Code, 60), printable(envelope.Error.Message, 200)}
}

func printable(text string, limit int) string {
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(line); len(runes) > limit {
		return string(runes[:limit]) + "..."
	}
	return line
}

// mostNumber is how many characters are repeated of a number that a phone system tells.
const mostNumber = 64

// quotable is what a phone system says where a number should be, fit for an error: an
// answer may have 16 MiB of it.
func quotable(number string) string { return strconv.Quote(printable(number, mostNumber)) }

// aboutLicence recognises a refusal for want of a licence by either spelling. It
// is the one place where a message is read: 3CX has no code for it.
func (e odataError) aboutLicence() bool {
	text := strings.ToLower(e.Code + " " + e.Message)
	return strings.Contains(text, "license") || strings.Contains(text, "licence")
}

// longestRetryAfter bounds what is believed of a Retry-After.
const longestRetryAfter = time.Hour

// retryAfter reads Retry-After (RFC 9110 section 10.2.3) as seconds, also with a
// fraction, or as a date; 0 without one.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	var delay time.Duration
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) { // also NaN
			return 0
		}
		delay = time.Duration(min(seconds, longestRetryAfter.Seconds()) * float64(time.Second))
	} else if date, err := http.ParseTime(value); err == nil {
		delay = date.Sub(now)
	}
	return min(max(delay, 0), longestRetryAfter)
}

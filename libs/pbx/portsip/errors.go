package portsip

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
// wonder about; a write that may have left is Timeout, unless it is certain that it
// never arrived.
func failure(ctx context.Context, op string, read bool, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fault.New(fault.KindOf(cause), op, context.Cause(ctx))
	}
	var (
		unknownAuthority x509.UnknownAuthorityError
		wrongHost        x509.HostnameError
		badCertificate   x509.CertificateInvalidError
		verification     *tls.CertificateVerificationError
		network          *net.OpError
	)
	switch {
	case errors.Is(err, pbx.ErrLate): // before the context has noticed
		return fault.New(fault.Timeout, op, err)
	case errors.As(err, &verification), errors.As(err, &unknownAuthority), errors.As(err, &wrongHost), errors.As(err, &badCertificate):
		return fault.Errorf(fault.Denied, op, "the certificate is not trusted (ca_file?): %w", err)
	case errors.As(err, &network) && network.Op == "dial":
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
		}
		return fault.New(fault.Unavailable, op, err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if read {
			return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
		}
	}
	if read {
		return fault.New(fault.Unavailable, op, err)
	}
	return fault.New(fault.Timeout, op, err)
}

// refusal classifies an HTTP status that is not success. now is for Retry-After given
// as a date. The vendor says "4XX" for every refusal and does not say which for what;
// the statuses that others give a meaning have it here, and who needs to know better
// asks afterwards.
//
//	status          read          write
//	401, 403        Denied
//	404, 429, 503   NotFound, Throttled, Unavailable
//	500, 502, 5xx   Unavailable   Timeout: it may have happened
//	2xx not asked   Unavailable   Timeout
//	1xx, 3xx        Invalid: the URL leads to something that is no PortSIP
//	others          fault.FromHTTP
func refusal(op string, write bool, a answer, now time.Time) error {
	cause := &httpError{a.status, parseError(a.body)}
	unsure := fault.Unavailable
	if write {
		unsure = fault.Timeout
	}
	switch {
	case a.status == http.StatusTooManyRequests:
		return fault.After(fault.Throttled, op, retryAfter(a.header, now), cause)
	case a.status == http.StatusServiceUnavailable:
		return fault.After(fault.Unavailable, op, retryAfter(a.header, now), cause)
	case a.status >= 200 && a.status < 300:
		return fault.New(unsure, op, cause)
	case a.status < 400:
		return fault.New(fault.Invalid, op, cause)
	case fault.FromHTTP(a.status) == fault.Unavailable:
		return fault.New(unsure, op, cause)
	}
	return fault.New(fault.FromHTTP(a.status), op, cause)
}

// httpError is a status and what the phone system said about it.
type httpError struct {
	status int
	said   said
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

// said is the first error of an answer. Its member "detail" may hold anything and is
// not read.
type said struct{ Code, Message string }

// parseError reads an error body, which may be anything: {"errors": [{"code":
// "VALIDATE_FAILED", "message": "...", "detail": ...}]}. What it returns is fit to
// print: one line, bounded.
func parseError(body []byte) said {
	var envelope struct{ Errors []said }
	if json.Unmarshal(body, &envelope) != nil || len(envelope.Errors) == 0 {
		return said{}
	}
	return said{printable(envelope.Errors[0].Code, 60), printable(envelope.Errors[0].Message, 200)}
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

// refused says whether a request was turned down by the phone system with an answer, rather
// than having failed on the way. An answer that leads elsewhere is from something in between,
// and says nothing of what there is.
func refused(err error) bool {
	if answer := new(httpError); errors.As(err, &answer) && answer.status < http.StatusBadRequest {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Denied, fault.Unsupported, fault.Gone:
		return true
	}
	return false
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

package freeswitch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"
	"unicode"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

var (
	errClosed    = errors.New("the driver is closed")
	errSenseless = errors.New("the answer makes no sense")
)

// unreachable classifies why there is no connection. Nothing was asked of FreeSWITCH yet.
func unreachable(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		name         x509.HostnameError
		certificate  x509.CertificateInvalidError
		record       tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, esl.ErrPassword), errors.Is(err, esl.ErrRejected), errors.Is(err, esl.ErrForbidden):
		return fault.New(fault.Denied, op, err)
	case errors.As(err, &verification), errors.As(err, &authority), errors.As(err, &name), errors.As(err, &certificate):
		return fault.Errorf(fault.Denied, op, "the certificate is not trusted (ca_file?): %w", err)
	case errors.As(err, &record):
		return fault.Errorf(fault.Denied, op, "nobody speaks TLS there (tcp?): %w", err)
	case errors.Is(err, esl.ErrUnspeakable):
		return fault.New(fault.Invalid, op, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
	}
	return fault.New(fault.Unavailable, op, err)
}

// failed classifies a call without an answer. A read has no effect to wonder about; a
// write that was sent may have been done.
func failed(ctx context.Context, op string, write bool, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	var lost *esl.LostError
	var network net.Error
	switch {
	case errors.Is(err, esl.ErrUnspeakable):
		return fault.New(fault.Invalid, op, err)
	case errors.As(err, &lost) && lost.Sent && write:
		return fault.New(fault.Timeout, op, err)
	case errors.Is(err, esl.ErrOverdue), errors.As(err, &network) && network.Timeout():
		return fault.New(fault.Timeout, op, err)
	}
	return fault.New(fault.Unavailable, op, err)
}

// refusal classifies an answer that is a refusal (-ERR, -USAGE). FreeSWITCH has no codes;
// these are the words of mod_event_socket.c and switch_loadable_module.c, 1.10.
//
//	permission denied    Denied: the user's esl-allowed-api does not have it
//	Command not found!   Denied: the module is not loaded
//	anything else        Invalid
func refusal(op string, reply esl.Reply) error {
	text := strings.TrimSpace(string(reply))
	switch {
	case strings.HasPrefix(text, "-ERR permission denied"):
		return fault.Errorf(fault.Denied, op, "permission denied: the user's esl-allowed-api does not have this")
	case strings.HasSuffix(text, "Command not found!"):
		return fault.Errorf(fault.Denied, op, "%s (is the module loaded?)", clean(text))
	}
	return fault.Errorf(fault.Invalid, op, "FreeSWITCH answers %s", clean(text))
}

// clean is a part of what was received that can be shown to people.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200])
	}
	return strings.TrimSpace(text)
}

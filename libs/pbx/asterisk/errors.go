package asterisk

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
)

var errClosed = errors.New("the driver is closed")

// What Asterisk says where words are all it has.
const (
	saysNoEntry    = "Database entry not found"
	saysNoProvider = "Invalid provider"
)

// says says whether an error is a refusal that begins with some words.
func says(err error, words string) bool {
	if err == nil {
		return false
	}
	var refusal *ami.Refusal
	return errors.As(err, &refusal) && strings.HasPrefix(strings.ToLower(refusal.Message), strings.ToLower(words))
}

// classify gives what became of an action its kind.
//
//	refused: what it says                     kind
//	Permission denied                         Denied: the class of right is missing
//	Invalid/unknown command                   Denied: the module is missing
//	Asterisk is shutting down                 Unavailable
//	Failed to update entry                    Unavailable: the disk is full, or not writable
//	anything else                             Invalid
//
//	the connection ended                      read          write
//	before it was sent                        Unavailable
//	after                                     Unavailable   Timeout: it may have happened
func classify(op string, write bool, err error) error {
	if err == nil {
		return nil
	}
	var (
		refusal *ami.Refusal
		lost    *ami.LostError
	)
	switch {
	case errors.As(err, &refusal):
		return fault.New(refused(refusal.Message), op, err)
	case errors.As(err, &lost) && lost.Sent && write:
		return fault.New(fault.Timeout, op, err)
	case errors.As(err, &lost):
		return fault.New(fault.Unavailable, op, err)
	case errors.Is(err, ami.ErrUnsendable):
		return fault.New(fault.Invalid, op, err)
	}
	return fault.New(fault.KindOf(err), op, err) // a context's error has its kind already
}

func refused(message string) fault.Kind {
	text := strings.ToLower(message)
	switch {
	case strings.HasPrefix(text, "permission denied"), strings.HasPrefix(text, "invalid/unknown command"):
		return fault.Denied
	case strings.Contains(text, "shutting down"), strings.HasPrefix(text, "failed to update entry"):
		return fault.Unavailable
	}
	return fault.Invalid
}

// unreachable classifies a session that did not come to be. Nothing was asked yet.
func unreachable(op string, err error) error {
	var (
		refusal          *ami.Refusal
		unknownAuthority x509.UnknownAuthorityError
		wrongHost        x509.HostnameError
		badCertificate   x509.CertificateInvalidError
		verification     *tls.CertificateVerificationError
		noTLS            tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &verification), errors.As(err, &unknownAuthority), errors.As(err, &wrongHost), errors.As(err, &badCertificate):
		return fault.Errorf(fault.Denied, op, "the certificate is not trusted (ca_file?): %w", err)
	case errors.As(err, &noTLS):
		return fault.Errorf(fault.Denied, op, "what answers does not speak TLS (another port?): %w", err)
	case errors.As(err, &refusal) && strings.Contains(strings.ToLower(refusal.Message), "already in use"):
		return fault.Errorf(fault.Denied, op, "the manager account must allow several sessions (allowmultiplelogin = yes): %w", err)
	case errors.As(err, &refusal) && refused(refusal.Message) == fault.Unavailable:
		return fault.New(fault.Unavailable, op, err)
	case errors.As(err, &refusal):
		return fault.Errorf(fault.Denied, op, "the manager account is not accepted, or not from this address (manager.conf: secret, permit): %w", err)
	case errors.Is(err, ami.ErrMalformed):
		return fault.Errorf(fault.Denied, op, "what answers is no Asterisk manager interface: %w", err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return fault.Errorf(fault.Unavailable, op, "%w: %w", pbx.ErrRefused, err)
	}
	if kind := fault.KindOf(err); kind == fault.Cancelled || kind == fault.Timeout {
		return fault.New(kind, op, err)
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return fault.New(fault.Unavailable, op, err)
	}
	return fault.Errorf(fault.Unavailable, op, "the connection ended before it was signed in: %w", err)
}

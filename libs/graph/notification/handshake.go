package notification

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxHandshake is the longest validation token that is echoed, in bytes.
const MaxHandshake = 4 << 10

// CheckHandshake refuses a validationToken (URL-decoded) that must not be
// echoed: Graph's are opaque but never HTML or JavaScript, and escaping one
// would break the handshake.
func CheckHandshake(token string) error {
	switch {
	case token == "":
		return errors.New("validation token is empty")
	case len(token) > MaxHandshake:
		return fmt.Errorf("validation token is longer than %d bytes", MaxHandshake)
	case !utf8.ValidString(token):
		return errors.New("validation token is not UTF-8")
	case strings.ContainsAny(token, `<>"'&`) || strings.ContainsFunc(token, unicode.IsControl):
		return errors.New("validation token holds markup or control characters")
	}
	return nil
}

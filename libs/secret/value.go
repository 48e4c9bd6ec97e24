package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Redacted is what every secret prints as.
const Redacted = "<secret>"

// Value is a secret text. It prints as Redacted under every verb, in slog and in
// JSON; only Reveal gives the text.
type Value struct {
	// text is behind a pointer because fmt reaches into unexported fields, and calls no
	// methods for %w: an address is all it can show.
	text *string
}

// NewValue wraps text.
func NewValue(text string) Value { return Value{&text} }

// ReadFile reads a secret from a file and trims white space at its end.
func ReadFile(path string) (Value, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Value{}, fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimRight(string(data), " \t\r\n")
	if text == "" {
		return Value{}, fmt.Errorf("read secret: %s is empty", path)
	}
	return NewValue(text), nil
}

// Reveal returns the text itself.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero says whether there is no secret.
func (v Value) IsZero() bool { return v.Reveal() == "" }

// Format prints Redacted under every verb.
func (v Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, Redacted) }

// LogValue logs Redacted.
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText makes JSON and YAML say Redacted.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// Hash returns the hexadecimal SHA-256 of a secret: what is stored where only a
// comparison is needed.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// HashEqual says in constant time whether text has the given Hash. Both sides
// are hashes of one length, so that not even the length of the secret leaks.
func HashEqual(text, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(Hash(text)), []byte(hash)) == 1
}

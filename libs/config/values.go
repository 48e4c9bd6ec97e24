package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// SecretURL is a URL, or several separated by commas, that may hold a password.
// It shows <secret> in its place under every verb, in slog, JSON and YAML; only
// Reveal gives all of it.
type SecretURL struct{ text string }

// NewSecretURL wraps text without judging it.
func NewSecretURL(text string) SecretURL { return SecretURL{text} }

// Reveal returns the text itself.
func (u SecretURL) Reveal() string { return u.text }

// IsZero says whether there is none.
func (u SecretURL) IsZero() bool { return u.text == "" }

// String returns the text without what may be secret: user, password and query.
// Of a text that cannot be understood nothing is shown.
func (u SecretURL) String() string {
	if u.text == "" {
		return ""
	}
	parts := strings.Split(u.text, ",")
	for i, part := range parts {
		parsed, err := url.Parse(strings.TrimSpace(part))
		if err != nil || parsed.Scheme == "" || parsed.Opaque != "" {
			return secret.Redacted
		}
		shown := parsed.Scheme + "://"
		if parsed.User != nil {
			shown += secret.Redacted + "@"
		}
		shown += parsed.Host + parsed.EscapedPath()
		if parsed.RawQuery != "" || parsed.Fragment != "" {
			shown += "?" + secret.Redacted
		}
		parts[i] = shown
	}
	return strings.Join(parts, ",")
}

// Format prints String under every verb.
func (u SecretURL) Format(f fmt.State, _ rune) { fmt.Fprint(f, u.String()) }

// LogValue logs String.
func (u SecretURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText makes JSON and YAML say String.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText takes any text; Load judges it.
func (u *SecretURL) UnmarshalText(text []byte) error {
	u.text = string(text)
	return nil
}

// TimeOfDay is a local time of day in minutes since midnight, 0 to 1439, written
// "04:00".
type TimeOfDay int

// String returns the time as "15:04".
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// MarshalText makes JSON and YAML say String.
func (t TimeOfDay) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText accepts "04:00" and "4:00".
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	parsed, err := time.Parse("15:04", string(text))
	if err != nil {
		return errors.New("is no time of day; write hours and minutes, as in \"04:00\"")
	}
	*t = TimeOfDay(parsed.Hour()*60 + parsed.Minute())
	return nil
}

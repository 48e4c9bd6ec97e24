package topology

import (
	"errors"
	"fmt"
	"strings"
)

// Token escapes one id for use as a token of a subject or a bucket key. Letters,
// digits and '-' stay; every other byte becomes '_' and two hexadecimal digits.
// UPNs hold dots and @, extensions hold '*': raw, they would change the meaning
// of a subject. An empty id becomes "_", which no other id does.
func Token(id string) string {
	if id == "" {
		return "_"
	}
	if isAllPlain(id) {
		return id
	}
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}

// ErrToken is returned by Untoken for what Token never makes.
var ErrToken = errors.New("not an escaped token")

// Untoken is the inverse of Token.
func Untoken(token string) (string, error) {
	if token == "_" {
		return "", nil
	}
	if token == "" {
		return "", ErrToken
	}
	if isAllPlain(token) {
		return token, nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		switch c := token[i]; {
		case isPlain(c):
			b.WriteByte(c)
		case c == '_' && i+2 < len(token):
			high, low := hexDigit(token[i+1]), hexDigit(token[i+2])
			if high < 0 || low < 0 || isPlain(byte(high<<4|low)) {
				return "", ErrToken
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
		default:
			return "", ErrToken
		}
	}
	return b.String(), nil
}

func isAllPlain(id string) bool {
	for i := range len(id) {
		if !isPlain(id[i]) {
			return false
		}
	}
	return true
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// hexDigit accepts upper case only: one spelling for each id.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Join escapes ids and joins them with dots: the variable part of a subject, or a
// bucket key.
func Join(ids ...string) string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = Token(id)
	}
	return strings.Join(tokens, ".")
}

// Split is the inverse of Join.
func Split(key string) ([]string, error) {
	tokens := strings.Split(key, ".")
	for i, token := range tokens {
		id, err := Untoken(token)
		if err != nil {
			return nil, fmt.Errorf("key %q: token %d: %w", key, i+1, err)
		}
		tokens[i] = id
	}
	return tokens, nil
}

// Wildcard turns a flow's pattern into a NATS subject filter.
func Wildcard(pattern string) string {
	words := strings.Split(pattern, ".")
	for i, word := range words {
		if strings.HasPrefix(word, "<") {
			words[i] = "*"
		}
	}
	return strings.Join(words, ".")
}

// SubjectsOf lists the subject filters that a stream keeps.
func SubjectsOf(stream Stream) []string {
	var subjects []string
	for _, flow := range Flows() {
		if flow.Stream == stream {
			subjects = append(subjects, Wildcard(flow.Subject))
		}
	}
	return subjects
}

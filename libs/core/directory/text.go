package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tidy returns a value as it can be shown in one line: without spaces around it,
// control characters and what is no UTF-8. A value of nothing but invisible characters
// is none. Marks of direction within a text stay: right-to-left names need them.
func tidy(s string) string {
	if plain(s) {
		return s
	}
	visible := false
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError:
			return -1
		case !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r):
			visible = true
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if !visible {
		return ""
	}
	return strings.TrimSpace(s)
}

// plain says whether a text has nothing but printable ASCII, and no space at its ends:
// the most frequent case, which costs no memory.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}

// shorten cuts a text to as many characters as a phone system takes, never inside one;
// limit 0 is no limit. The text shares its memory with s.
func shorten(s string, limit int) (text string, cut bool) {
	if limit == 0 || len(s) <= limit {
		return s, false
	}
	n := 0
	for i := range s {
		if n == limit {
			return strings.TrimRightFunc(s[:i], unicode.IsSpace), true
		}
		n++
	}
	return s, false
}

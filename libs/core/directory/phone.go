package directory

import (
	"strings"
	"unicode"
)

// Phone is a phone number that was written by a person, taken apart.
type Phone struct {
	Number    string // to be dialled: digits, '*' and '#', perhaps after a '+'; "" where there is none
	Extension string // digits after "ext.", "x" or ";ext="; "" where there is none
}

// ParsePhone takes a number apart that was written in any of the usual ways: spaces,
// dots, brackets and dashes between the digits, a "(0)" after the country's code, digits
// of any script, "tel:" before and an extension behind. It knows no countries. The reason
// is "" where there is a number, or the text is empty.
func ParsePhone(text string) (Phone, Reason) {
	s := strings.ToLower(asciiDigits(tidy(text)))
	s = strings.TrimSpace(strings.TrimPrefix(s, "tel:"))
	if s == "" {
		return Phone{}, ""
	}
	s, extension := cutExtension(s)
	s, _, _ = strings.Cut(s, ";") // other parameters of a tel: address
	if strings.HasPrefix(s, "+") {
		s = strings.Replace(s, "(0)", "", 1)
	}
	var number strings.Builder
	digits := false
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits = true
			number.WriteRune(r)
		case r == '*' || r == '#' || r == '+' && number.Len() == 0:
			number.WriteRune(r)
		case !separates(r):
			return Phone{}, NotANumber
		}
	}
	switch {
	case digits:
		return Phone{number.String(), extension}, ""
	case extension != "":
		return Phone{Extension: extension}, OnlyAnExtension
	}
	return Phone{}, NoDigits
}

// extensionMarks are what stands before an extension, longer ones first.
var extensionMarks = []string{";ext=", "extension", "ext.", "ext", "x"}

// cutExtension splits "030 1234 ext. 12" before the mark, if digits and nothing else
// follow it.
func cutExtension(s string) (number, extension string) {
	for _, mark := range extensionMarks {
		i := strings.LastIndex(s, mark)
		if i < 0 {
			continue
		}
		e := strings.Trim(s[i+len(mark):], " .:")
		if e != "" && strings.Trim(e, "0123456789") == "" {
			return strings.TrimRight(s[:i], " ,("), e
		}
	}
	return s, ""
}

// separates says whether a character may stand between digits.
func separates(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("()[]./,", r)
}

// asciiDigits writes digits of all scripts as 0 to 9, and full-width signs as plain ones.
func asciiDigits(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return strings.Map(asciiDigit, s)
		}
	}
	return s
}

func asciiDigit(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r == '＋':
		return '+'
	case r == '（':
		return '('
	case r == '）':
		return ')'
	}
	// Unicode lists the digits of a script together, from zero to nine.
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10
		}
	}
	return r
}

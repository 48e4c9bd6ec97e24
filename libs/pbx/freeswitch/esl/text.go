package esl

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// readable is a text as UTF-8. FreeSWITCH passes on the bytes of its directory and its
// phones, which in practice are UTF-8 or Windows-1252 (which has all of Latin-1), and says
// nowhere which. So a byte that is no UTF-8 is taken for Windows-1252: one by one, because
// a list of users is one text, and one name in it may be written so and the next not.
func readable(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			r = charmap.Windows1252.DecodeByte(text[0])
		}
		b.WriteRune(r)
		text = text[size:]
	}
	return b.String()
}

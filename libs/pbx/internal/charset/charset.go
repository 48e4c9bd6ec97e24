// Package charset reads texts of phone systems that say nowhere in which charset they are.
package charset

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// UTF8 is a text as UTF-8. Asterisk and FreeSWITCH pass on the bytes of their databases,
// directories and phones, which in practice are UTF-8 or Windows-1252 (which has all of
// Latin-1). So a byte that is no UTF-8 is taken for Windows-1252: one by one, because one
// name in a list may be written so and the next not, and one that was cut within a letter is
// only spoilt at its end.
func UTF8(text string) string {
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

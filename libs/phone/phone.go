package phone

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// longest is how long a text can be and still be a number. The longest that a numbering
// plan has is 15 digits; the rest is punctuation and an extension.
const longest = 100

// mostDigits is how many digits a number has at most (ITU-T E.164, 6.2.1).
const mostDigits = 15

// vanity is how many letters make the library take them for digits.
const vanity = 3

// northAmerica is the country code of those who write letters for digits ("1-800-...").
const northAmerica = 1

// E164 returns the number that a text means to somebody in a region (ISO 3166, "DE"),
// as E.164 has it: '+', the country's code and the rest, digits only. An extension
// ("ext. 12", ";ext=12") is left out: the number is that of the exchange. In the region
// "" only numbers that name their country can be told.
//
// It is false for what is no number of the numbering plan: nothing, text, an extension
// alone, the short numbers within a phone system or a country.
func E164(text, region string) (string, bool) {
	n := parse(text, region)
	if n == nil {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}

// Key is E164 with the extension behind it, if there is one, in the manner of RFC 3966:
// two numbers with the same key ring the same phone.
func Key(text, region string) (string, bool) {
	n := parse(text, region)
	if n == nil {
		return "", false
	}
	key := phonenumbers.Format(n, phonenumbers.E164)
	if n.GetExtension() != "" {
		key += ";ext=" + n.GetExtension()
	}
	return key, true
}

func parse(text, region string) *phonenumbers.PhoneNumber {
	if len(text) > longest || !utf8.ValidString(text) {
		return nil
	}
	n, err := phonenumbers.Parse(text, strings.ToUpper(region))
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return nil
	}
	if n.GetCountryCode() != northAmerica && letters(text) >= vanity {
		return nil // elsewhere they are a remark ("030 9018 Office"), and not digits
	}
	if len(phonenumbers.Format(n, phonenumbers.E164)) > mostDigits+len("+") {
		return nil
	}
	return n
}

// letters counts those of the number itself.
func letters(text string) int {
	text, _, _ = strings.Cut(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "tel:"), ";")
	if count := lettersIn(text); count < vanity {
		return count // few numbers have any, and to find their extension is dear
	}
	text, _ = phonenumbers.MaybeSeparateExtensionFromPhone(text)
	return lettersIn(text)
}

func lettersIn(text string) (count int) {
	for _, r := range text {
		if unicode.IsLetter(r) {
			count++
		}
	}
	return count
}

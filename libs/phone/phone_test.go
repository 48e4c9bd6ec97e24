package phone_test

import (
	"regexp"
	"strings"
	"testing"

	"offhook.dev/libs/phone"
)

func TestNumbersAsPeopleWriteThem(t *testing.T) {
	const none = ""
	cases := []struct{ name, text, region, want, key string }{
		{"a national number is one of its region", "030 901820", "DE", "+4930901820", "+4930901820"},
		{"the same number is another one elsewhere", "030 901820", "NL", none, none},
		{"the region may be in small letters", "030 901820", "de", "+4930901820", "+4930901820"},
		{"a country with a zero in brackets", "+49 (0)30 901820", "US", "+4930901820", "+4930901820"},
		{"the same with a space", "+49 (0) 30 901820", "DE", "+4930901820", "+4930901820"},
		{"two zeros for the plus", "0049 30 901820", "DE", "+4930901820", "+4930901820"},
		{"another country's prefix for abroad", "011 49 30 901820", "US", "+4930901820", "+4930901820"},
		{"brackets, slashes, dots and dashes", "(030)/90.18-20", "DE", "+4930901820", "+4930901820"},
		{"an Italian zero belongs to the number", "+39 06 6982 0000", "DE", "+390669820000", "+390669820000"},
		{"an extension in words", "030 901820 ext. 12", "DE", "+4930901820", "+4930901820;ext=12"},
		{"an extension as the web has it", "tel:+49-30-901820;ext=12", "", "+4930901820", "+4930901820;ext=12"},
		{"an extension after an x", "+1 212 555 0100 x 12", "", "+12125550100", "+12125550100;ext=12"},
		{"a context as the web has it", "tel:030-901820;phone-context=+49", "", "+4930901820", "+4930901820"},
		{"Arabic digits", "٠٣٠ ٩٠١٨٢٠", "DE", "+4930901820", "+4930901820"},
		{"full-width digits", "０３０９０１８２０", "DE", "+4930901820", "+4930901820"},
		{"letters for digits in North America", "1-800-FLOWERS", "US", "+18003569377", "+18003569377"},

		{"nothing", "", "DE", none, none},
		{"spaces", "   ", "DE", none, none},
		{"an extension alone", "ext. 12", "DE", none, none},
		{"an extension alone after an x", "x12", "DE", none, none},
		{"a number within a phone system", "204", "DE", none, none},
		{"a function code", "*78", "DE", none, none},
		{"an emergency call", "110", "DE", none, none},
		{"a national number without a region", "030 901820", "", none, none},
		{"a region that there is not", "030 901820", "XX", none, none},
		{"a country that there is not", "+999 123456", "DE", none, none},
		{"words", "call my office", "DE", none, none},
		{"a remark that could be digits", "+49 30 9018 abc", "DE", none, none},
		{"two numbers in one", "+4930901820 +4930901821", "DE", none, none},
		{"too long for a number", strings.Repeat("0", 50), "DE", none, none},
		{"a novel", "030 901820" + strings.Repeat(" ", 200), "DE", none, none},
		{"what is no text", "030 901820\xff", "DE", none, none},
	}
	for _, c := range cases {
		if got, ok := phone.E164(c.text, c.region); got != c.want || ok != (c.want != none) {
			t.Errorf("%s: E164(%q, %q) = %q, %v, want %q", c.name, c.text, c.region, got, ok, c.want)
		}
		if got, ok := phone.Key(c.text, c.region); got != c.key || ok != (c.key != none) {
			t.Errorf("%s: Key(%q, %q) = %q, %v, want %q", c.name, c.text, c.region, got, ok, c.key)
		}
	}
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)

// What is returned is a number everywhere, and always the same one.
func FuzzE164(f *testing.F) {
	for _, seed := range []string{"030 901820", "+49 (0)30 901820", "030 901820 ext. 12", "tel:+4930901820;ext=12", "٠٣٠ ٩٠١٨٢٠", "1-800-FLOWERS", "", "+", "x12"} {
		f.Add(seed, "DE")
	}
	f.Fuzz(func(t *testing.T, text, region string) {
		number, ok := phone.E164(text, region)
		key, keyed := phone.Key(text, region)
		if ok != keyed || !strings.HasPrefix(key, number) {
			t.Fatalf("E164 %q, %v, but Key %q, %v", number, ok, key, keyed)
		}
		if !ok {
			if number != "" {
				t.Fatalf("%q is no number, but %q", text, number)
			}
			return
		}
		if !e164.MatchString(number) {
			t.Fatalf("%q became %q", text, number)
		}
		if again, ok := phone.E164(number, ""); !ok || again != number {
			t.Fatalf("%q in %q became %q and then %q, %v", text, region, number, again, ok)
		}
	})
}

package directory_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
)

// normalise is E.164 of Germany for tests.
func normalise(text string) string {
	p, _ := directory.ParsePhone(text)
	if n, ok := strings.CutPrefix(p.Number, "00"); ok {
		return "+" + n
	}
	if n, ok := strings.CutPrefix(p.Number, "0"); ok {
		return "+49" + n
	}
	return p.Number
}

// fitted returns what is written of a contact, and what is told.
func fitted(t *testing.T, c directory.Contact, limits directory.BookLimits) (directory.Contact, string) {
	t.Helper()
	c.Source = "a"
	var told []string
	got, ok := limits.Fit(c, normalise, func(f directory.Field, why directory.Reason, _ string) {
		told = append(told, fmt.Sprintf("%s %s", f, why))
	})
	if !ok || got.Source != "a" {
		t.Fatalf("%+v, shown: %v", got, ok)
	}
	return got, strings.Join(told, ", ")
}

func TestAContactWithNothingToShowIsNone(t *testing.T) {
	var limits directory.BookLimits
	for name, c := range map[string]directory.Contact{
		"nothing at all":        {},
		"a number that is none": {Numbers: []directory.Number{{Kind: directory.MobileNumber, Text: "call me"}}},
		"a title alone":         {Title: "Director"},
	} {
		if got, ok := limits.Fit(c, normalise, nil); ok {
			t.Errorf("%s is shown as %+v", name, got)
		}
	}
}

func TestNumbersOfContacts(t *testing.T) {
	few := []directory.NumberKind{directory.BusinessNumber, directory.MobileNumber}
	for _, c := range []struct {
		name           string
		mobile         string
		business, home []string
		limits         directory.BookLimits
		want, told     string
	}{
		{"as they are written", "+49 (0)171 1", []string{"030/1"}, nil, directory.BookLimits{}, "mobile +49 (0)171 1, business 030/1", ""},
		{"each in its place", "1", []string{"2", "3"}, []string{"4", "5"}, directory.BookLimits{}, "mobile 1, business 2, business2 3, home 4, home2 5", ""},
		{"one of the rest", "", []string{"2", "3", "6", "7"}, []string{"4", "5", "8"}, directory.BookLimits{}, "business 2, business2 3, home 4, home2 5, other 6", "other no-place, other no-place"},
		{"only kinds that have a place", "1", []string{"2", "3"}, []string{"4"}, directory.BookLimits{Kinds: few}, "mobile 1, business 2", "business2 no-place, home no-place"},
		{"as many as there are places, by precedence", "1", []string{"2"}, []string{"4"}, directory.BookLimits{Numbers: 2}, "mobile 1, business 2", "home no-place"},
		{"one number in two forms once", "0171 1", []string{"+49 171-1"}, []string{"030 4"}, directory.BookLimits{}, "mobile 0171 1, home 030 4", "business doubled"},
		{"and its place goes to the next", "0171 1", []string{"+49171 1", "2"}, nil, directory.BookLimits{Numbers: 2}, "mobile 0171 1, business2 2", "business doubled"},
		{"what is no number is left out", "ext. 12", []string{"call me"}, []string{"-"}, directory.BookLimits{}, "", "mobile only-an-extension, business not-a-number, home no-digits"},
		{"an extension behind a number stays", "030 1 ext. 12", []string{"tel:+49302;ext=5"}, nil, directory.BookLimits{}, "mobile 030 1 ext. 12, business tel:+49302;ext=5", ""},
		{"digits of other scripts stay", "\u0660\u0661", nil, nil, directory.BookLimits{}, "mobile \u0660\u0661", ""},
		{"empty ones are none", " ", []string{""}, nil, directory.BookLimits{}, "", ""},
		{"and take no place", "", []string{"", "3"}, []string{" ", "4"}, directory.BookLimits{}, "business 3, home 4", ""},
		{"half a number is left out", "0301234", nil, nil, directory.BookLimits{Text: map[directory.Field]int{directory.PhoneText: 6}}, "", "mobile too-long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, told := fitted(t, directory.Contact{FirstName: "Anna", Numbers: directory.NumbersOf(c.mobile, c.business, c.home)}, c.limits)
			var words []string
			for _, n := range got.Numbers {
				words = append(words, fmt.Sprintf("%s %s", n.Kind, n.Text))
			}
			if strings.Join(words, ", ") != c.want || told != c.told {
				t.Errorf("%s, told %q; want %s and %q", strings.Join(words, ", "), told, c.want, c.told)
			}
		})
	}
}

func TestANumberOfAKindThatDoesNotExistIsReported(t *testing.T) {
	if got, told := fitted(t, directory.Contact{FirstName: "Anna", Numbers: []directory.Number{{Kind: "telex", Text: "1"}}}, directory.BookLimits{}); len(got.Numbers) != 0 || told != "telex no-place" {
		t.Errorf("%+v, told %q", got, told)
	}
}

func TestTextsOfContacts(t *testing.T) {
	limits := directory.BookLimits{Text: map[directory.Field]int{directory.FirstName: 3, directory.Company: 3, directory.Mail: 5}}
	got, told := fitted(t, directory.Contact{FirstName: strings.Repeat("\U0001f600", 300), LastName: " B\x00erg\n", Company: "\u05d0\u05d1\u05d2\u05d3", Mail: "anna@x"}, limits)
	if got.FirstName != "\U0001f600\U0001f600\U0001f600" || got.LastName != "Berg" || got.Company != "\u05d0\u05d1\u05d2" || got.Mail != "" {
		t.Errorf("%+v", got)
	}
	if told != "first_name shortened, company shortened, mail too-long" {
		t.Errorf("told %s", told)
	}
}

func TestSourceKey(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	seen := map[string]string{}
	for _, id := range []string{"", "a", "A", "AAMkAGI2TG93AAA=", "aamkagi2tg93aaa=", strings.Repeat("x", 500), "\u00e4\n"} {
		key := directory.SourceKey(id)
		if !form.MatchString(key) || directory.SourceKey(id) != key {
			t.Errorf("%q is %q", id, key)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q are both %q", id, other, key)
		}
		seen[key] = id
	}
	// It is for ever: entries are found by it.
	if key := directory.SourceKey("AAMkAGI2TG93AAA="); key != "oca73afar3yiz6d6azgeonihn4" {
		t.Errorf("the key changed: %s", key)
	}
}

func TestFingerprint(t *testing.T) {
	base := directory.Contact{ID: "7", Source: "a", FirstName: "Anna", LastName: "Berg", Numbers: directory.NumbersOf("1", []string{"2"}, nil)}
	same := base
	same.ID, same.Source, same.Numbers = "8", "b", slices.Clone(base.Numbers)
	slices.Reverse(same.Numbers)
	if same.Fingerprint() != base.Fingerprint() {
		t.Error("id, source or the order of numbers counts")
	}
	for name, change := range map[string]func(*directory.Contact){
		"first name": func(c *directory.Contact) { c.FirstName = "Anne" }, "last name": func(c *directory.Contact) { c.LastName = "" },
		"company": func(c *directory.Contact) { c.Company = "x" }, "title": func(c *directory.Contact) { c.Title = "x" },
		"department": func(c *directory.Contact) { c.Department = "x" }, "mail": func(c *directory.Contact) { c.Mail = "x" },
		"a number": func(c *directory.Contact) { c.Numbers = directory.NumbersOf("1", []string{"3"}, nil) }, "its kind": func(c *directory.Contact) { c.Numbers = directory.NumbersOf("1", nil, []string{"2"}) },
		"one number less":               func(c *directory.Contact) { c.Numbers = c.Numbers[:1] },
		"the border between two fields": func(c *directory.Contact) { c.FirstName, c.LastName = "AnnaB", "erg" },
	} {
		other := base
		change(&other)
		if other.Fingerprint() == base.Fingerprint() {
			t.Errorf("%s does not count", name)
		}
	}
	if f := base.Fingerprint(); f == 0 || f.String() == "" || directory.Fingerprint(0).String() != "" {
		t.Errorf("%d", f)
	}
	// It is kept: another one would write every entry again.
	if f := base.Fingerprint(); f.String() != "3hx8ap9ltjs89" {
		t.Errorf("the fingerprint changed: %s", f)
	}
}

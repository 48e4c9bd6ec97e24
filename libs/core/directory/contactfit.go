package directory

import (
	"slices"
	"strconv"
)

// BookLimits is what a phone system takes of a contact.
type BookLimits struct {
	// Kinds are the kinds of numbers it has places for; nil: all. Numbers is how many it
	// takes in all; 0 is as many as there are kinds.
	Kinds   []NumberKind
	Numbers int
	// Text is how many characters it takes of a field, of Phone for a number; 0 is as
	// many as there are.
	Text map[Field]int
}

// Fields of contacts, beside those that extensions have as well.
const (
	Company   Field = "company"
	Title     Field = "title"
	PhoneText Field = "number"
)

// NumbersOf gives the numbers of a Microsoft contact their kinds: of business and home
// phones the first is the main one and the second the second, further ones are other
// numbers, of which Fit keeps one and tells of the rest. What is empty takes no place.
func NumbersOf(mobile string, business, home []string) (numbers []Number) {
	add := func(texts []string, kinds ...NumberKind) {
		for _, text := range texts {
			if tidy(text) == "" {
				continue
			}
			numbers = append(numbers, Number{kinds[0], text})
			kinds = kinds[min(1, len(kinds)-1):]
		}
	}
	add([]string{mobile}, MobileNumber)
	add(business, BusinessNumber, Business2Number, OtherNumber)
	add(home, HomeNumber, Home2Number, OtherNumber)
	return numbers
}

// Fit returns the contact as the phone system takes it, without an ID; ok is false where
// nothing of it can be shown. note is told of all that is left out or cut. normalise
// returns the E.164 form of a number, or "".
//
// Numbers are kept as they are written. Where there are fewer places than numbers, those
// whose kind comes first in NumberKinds have them; a number that is listed twice, in
// whatever form, keeps its first place.
func (l *BookLimits) Fit(c Contact, normalise func(string) string, note func(Field, Reason, string)) (fitted Contact, ok bool) {
	fitted = Contact{Source: c.Source}
	for _, f := range []struct {
		field    Field
		from, to *string
	}{
		{FirstName, &c.FirstName, &fitted.FirstName}, {LastName, &c.LastName, &fitted.LastName}, {Company, &c.Company, &fitted.Company},
		{Title, &c.Title, &fitted.Title}, {Department, &c.Department, &fitted.Department}, {Mail, &c.Mail, &fitted.Mail},
	} {
		text, cut := shorten(tidy(*f.from), l.Text[f.field])
		switch {
		case cut && f.field == Mail:
			text = ""
			tell(note, f.field, TooLong, "for "+strconv.Itoa(l.Text[f.field])+" characters")
		case cut:
			tell(note, f.field, Shortened, "to "+strconv.Itoa(l.Text[f.field])+" characters")
		}
		*f.to = text
	}
	fitted.Numbers = l.numbers(c.Numbers, normalise, note)
	return fitted, !fitted.blank()
}

func (l *BookLimits) numbers(all []Number, normalise func(string) string, note func(Field, Reason, string)) (chosen []Number) {
	for _, n := range all {
		if !slices.Contains(numberKinds, n.Kind) {
			tell(note, Field(n.Kind), NoPlace, n.Text)
		}
	}
	for _, kind := range numberKinds {
		filled := false
		for _, n := range all {
			if n.Kind != kind {
				continue
			}
			text := tidy(n.Text)
			var digits [longest]byte
			_, _, reason := scanPhone(text, digits[:0])
			switch {
			case text == "":
			case reason != "":
				tell(note, Field(kind), reason, n.Text)
			case l.Text[PhoneText] > 0 && len(text) > l.Text[PhoneText]:
				tell(note, Field(kind), TooLong, "for "+strconv.Itoa(l.Text[PhoneText])+" characters")
			case slices.ContainsFunc(chosen, func(c Number) bool { return sameNumber(c.Text, text, normalise) }):
				tell(note, Field(kind), Doubled, text)
			case filled || l.Kinds != nil && !slices.Contains(l.Kinds, kind) || l.Numbers > 0 && len(chosen) == l.Numbers:
				tell(note, Field(kind), NoPlace, text)
			default:
				chosen, filled = append(chosen, Number{kind, text}), true
			}
		}
	}
	return chosen
}

// sameNumber says whether two texts are one number.
func sameNumber(a, b string, normalise func(string) string) bool {
	if a == b || normalise == nil {
		return a == b
	}
	n := normalise(a)
	return n != "" && n == normalise(b)
}

// blank says whether there is nothing to show of a contact.
func (c *Contact) blank() bool {
	return c.FirstName == "" && c.LastName == "" && c.Company == "" && c.Mail == "" && len(c.Numbers) == 0
}

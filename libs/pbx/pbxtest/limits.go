package pbxtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
)

// ofLength is a text of so many characters that can be a value of the field.
func ofLength(field directory.Field, n int) string {
	switch field {
	case directory.Mail:
		const domain = "@contoso.example"
		return strings.Repeat("a", n-len(domain)) + domain
	case directory.Mobile, directory.CallerID, directory.PhoneText:
		return "+" + strings.Repeat("4", n-1)
	case directory.Department:
		return strings.Repeat("D", n)
	}
	return strings.Repeat("Ü", n) // two bytes each
}

// leastLimit is the least that a driver may declare: less would cut names of people.
const leastLimit = 20

// declaredLimits checks that limits are of texts that there are, and returns the texts of
// that length.
func declaredLimits(t T, limits map[directory.Field]int, there func(directory.Field) bool) map[directory.Field]string {
	t.Helper()
	longest := map[directory.Field]string{}
	for _, field := range slices.Sorted(maps.Keys(limits)) {
		if !there(field) || limits[field] < leastLimit {
			t.Errorf("a limit of %d for %q is declared", limits[field], field)
			continue
		}
		longest[field] = ofLength(field, limits[field])
	}
	return longest
}

// extensionLimits has all texts as long as can be, at once and one by one.
func extensionLimits(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	free := s.Free(4)[2:] // apart from those of the other cases
	longest := declaredLimits(t, s.powers.Limits, func(f directory.Field) bool {
		_, text := texts(new(directory.Fields))[f]
		return text && s.powers.Has(f)
	})
	all := s.sample(free[0])
	for field, text := range longest {
		*texts(&all.Fields)[field] = text
	}
	s.is(t, s.create(t, all))
	e := s.create(t, s.sample(free[1]))
	for _, field := range slices.Sorted(maps.Keys(longest)) {
		*texts(&e.Fields)[field] = longest[field]
		s.update(t, e.Number, e, field)
		s.is(t, e)
	}
}

// entryLimits is the same for an entry of each book.
func entryLimits(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	place := func(c *directory.Contact, field directory.Field) *string {
		return map[directory.Field]*string{directory.FirstName: &c.FirstName, directory.LastName: &c.LastName, directory.Company: &c.Company, directory.Title: &c.Title,
			directory.Department: &c.Department, directory.Mail: &c.Mail}[field]
	}
	longest := declaredLimits(t, s.powers.Limits, func(f directory.Field) bool {
		return f == directory.PhoneText || place(new(directory.Contact), f) != nil
	})
	fill := func(c *directory.Contact, field directory.Field, text string) {
		if field != directory.PhoneText {
			*place(c, field) = text
			return
		}
		for i := range c.Numbers { // no two the same
			end := fmt.Sprint(i)
			c.Numbers[i].Text = text[:len(text)-len(end)] + end
		}
	}
	for _, owner := range s.owners {
		all := s.sample("k1")
		for field, text := range longest {
			fill(&all, field, text)
		}
		s.has(t, owner, s.enter(t, owner, all))
		c := s.enter(t, owner, s.sample("k2"))
		for _, field := range slices.Sorted(maps.Keys(longest)) {
			fill(&c, field, longest[field])
			s.change(t, owner, c)
			s.has(t, owner, c)
		}
	}
}

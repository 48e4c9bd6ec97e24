package contactsync

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/phone"
)

// project returns a contact as a phone system can take it, and how many of its numbers
// are one that it has already.
//
// Of the numbers, one of each kind that the phone system has a place for is taken. They
// are ordered by directory.NumberKinds, and stay as they were written. A number that is
// the same as one before it, by its E.164 in the tenant's region, is left out: "030
// 901820" as business and "+49 30 901820" as home is one number.
func project(c directory.Contact, kinds []directory.NumberKind, region string) (directory.Contact, int) {
	order := directory.NumberKinds()
	numbers := slices.Clone(c.Numbers)
	slices.SortStableFunc(numbers, func(a, b directory.Number) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	c.Numbers = nil
	var taken []string
	same := 0
	for _, n := range numbers {
		if !slices.Contains(kinds, n.Kind) || n.Text == "" {
			continue
		}
		key := numberKey(n.Text, region)
		if slices.Contains(taken, key) {
			same++
			continue
		}
		taken = append(taken, key)
		c.Numbers = append(c.Numbers, n)
	}
	return c, same
}

// numberKey is what tells a number from others: itself where it has no E.164.
func numberKey(text, region string) string {
	if key, ok := phone.Key(text, region); ok {
		return key
	}
	return text
}

// fingerprint tells whether a contact changed; never 0.
func fingerprint(c directory.Contact) uint64 {
	h := sha256.New()
	var size [8]byte
	part := func(s string) {
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	for _, s := range []string{c.FirstName, c.LastName, c.Company, c.Title, c.Department, c.Mail} {
		part(s)
	}
	for _, n := range c.Numbers {
		part(string(n.Kind))
		part(n.Text)
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

package directory

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
)

// sourceKeys writes hashes in what Contact.Source allows.
var sourceKeys = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// SourceKey returns the key by which a contact's entries are known for ever: 26
// characters of a-z and 2-7 that tell nothing of the immutable id they are made of. Ids
// are compared with case.
func SourceKey(immutableID string) string {
	sum := sha256.Sum256([]byte(immutableID))
	return sourceKeys.EncodeToString(sum[:16])
}

// Fingerprint stands for the content of an entry: the same content has the same, whenever
// and wherever it is computed. No entry has 0.
type Fingerprint uint64

// Fingerprint returns that of the contact, from all but its ID and Source. The order of
// numbers does not count.
func (c *Contact) Fingerprint() Fingerprint {
	var buffer [256]byte
	text := buffer[:0]
	part := func(s string) {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	for _, s := range []string{c.FirstName, c.LastName, c.Company, c.Title, c.Department, c.Mail} {
		part(s)
	}
	for i, kind := range numberKinds {
		for _, n := range c.Numbers {
			if n.Kind == kind {
				text = append(text, byte(i))
				part(n.Text)
			}
		}
	}
	sum := sha256.Sum256(text)
	return max(1, Fingerprint(binary.BigEndian.Uint64(sum[:8])))
}

// String is "" for the zero value.
func (f Fingerprint) String() string {
	if f == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(f), 36)
}

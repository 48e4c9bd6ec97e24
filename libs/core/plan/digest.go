package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"slices"
)

// Digest returns a name for what the changes do, in whatever order they are listed.
// Two lists have the same if they do the same; reasons, names and what does nothing do
// not matter. It keeps 32 bytes of each change that does something.
func Digest(changes iter.Seq[Change]) string {
	var sums [][sha256.Size]byte
	var text []byte
	for c := range changes {
		if !c.Op.Acts() {
			continue
		}
		text = c.canonical(text[:0])
		sums = append(sums, sha256.Sum256(text))
	}
	slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	whole := sha256.New()
	for _, sum := range sums {
		whole.Write(sum[:])
	}
	return hex.EncodeToString(whole.Sum(nil)[:16])
}

// canonical appends what the change does, each part after its length.
func (c Change) canonical(text []byte) []byte {
	part := func(s string) {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	part(string(c.Op))
	part(c.Object)
	part(c.Line)
	if c.Held {
		part("held")
	} else {
		part("")
	}
	fields := slices.Clone(c.Fields)
	slices.SortFunc(fields, func(a, b FieldChange) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	for _, f := range fields {
		part(f.Name)
		part(f.From)
		part(f.To)
	}
	return text
}

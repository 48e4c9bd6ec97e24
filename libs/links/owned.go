package links

import (
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// Put replaces the record of the same line, or adds it. The slice that r had stays as it is.
func (r Record) Put(owned directory.Record) Record {
	r.Owned = slices.DeleteFunc(slices.Clone(r.Owned), func(o directory.Record) bool { return o.Line == owned.Line })
	r.Owned = append(r.Owned, owned)
	slices.SortFunc(r.Owned, func(a, b directory.Record) int { return compare(a.Line, b.Line) })
	return r
}

// Without forgets the record of a line.
func (r Record) Without(line identity.Line) Record {
	r.Owned = slices.DeleteFunc(slices.Clone(r.Owned), func(o directory.Record) bool { return o.Line == line })
	return r
}

// Empty says whether nothing is kept of the person.
func (r Record) Empty() bool { return len(r.Lines) == 0 && len(r.Owned) == 0 }

// Normal makes two records of the same content equal: lines in order, no empty lists.
func (r Record) Normal() Record {
	r.Lines, r.Owned = slices.Clone(r.Lines), slices.Clone(r.Owned)
	slices.SortFunc(r.Lines, func(a, b Line) int { return compare(a.Line, b.Line) })
	slices.SortFunc(r.Owned, func(a, b directory.Record) int { return compare(a.Line, b.Line) })
	if len(r.Lines) == 0 {
		r.Lines = nil
	}
	if len(r.Owned) == 0 {
		r.Owned = nil
	}
	return r
}

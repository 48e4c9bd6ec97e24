package directory

import (
	"cmp"
	"slices"

	"offhook.dev/libs/core/identity"
)

// Listing is a list that is read one at a time, so that who keeps a hundred thousand
// packed need not unpack them all at once. What At returns for a place stays the same as
// long as a Result that was made with it is in use.
type Listing[T any] interface {
	Len() int
	At(i int) T
}

// Lists are the lists of a View in order: users by person, extensions by number, records
// by person and then number, each compared byte by byte.
type Lists struct {
	Users      Listing[User]
	Extensions Listing[Extension]
	Records    Listing[Record]
}

// place is a place in a Listing, counted from 1; 0 is none.
type place int32

func (l *Lists) user(at place) User           { return l.Users.At(int(at) - 1) }
func (l *Lists) extension(at place) Extension { return l.Extensions.At(int(at) - 1) }
func (l *Lists) record(at place) Record       { return l.Records.At(int(at) - 1) }

// pointers is a Listing of what is not packed.
type pointers[T any] []*T

func (p pointers[T]) Len() int   { return len(p) }
func (p pointers[T]) At(i int) T { return *p[i] }

// lists puts the lists of a view in order.
func (v *View) lists() Lists {
	users, extensions, records := slices.Clone(v.Users), slices.Clone(v.Extensions), slices.Clone(v.Records)
	slices.SortFunc(users, func(a, b *User) int { return comparePeople(a.Person, b.Person) })
	slices.SortFunc(extensions, func(a, b *Extension) int { return cmp.Compare(a.Number, b.Number) })
	slices.SortFunc(records, compareRecords)
	return Lists{Users: pointers[User](users), Extensions: pointers[Extension](extensions), Records: pointers[Record](records)}
}

func comparePeople(a, b identity.Person) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.User, b.User))
}

func compareRecords(a, b *Record) int {
	return cmp.Or(comparePeople(a.Person, b.Person), cmp.Compare(a.Line.Extension, b.Line.Extension))
}

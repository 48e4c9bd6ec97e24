package usersync

import (
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// The lists that plans are made of are packed as well: see directory.Listing.

// tenants are where the parts of a list begin that are of one tenant each.
type tenants struct {
	ids  []identity.Tenant
	ends []int // of their parts
}

func (t *tenants) add(id identity.Tenant, n int) {
	if len(t.ends) > 0 {
		n += t.ends[len(t.ends)-1]
	}
	t.ids, t.ends = append(t.ids, id), append(t.ends, n)
}

// at is whose part a place is in.
func (t *tenants) at(i int) identity.Tenant {
	part := slices.IndexFunc(t.ends, func(end int) bool { return i < end })
	return t.ids[part]
}

// userList is a directory.Listing of users.
type userList struct {
	words *words
	tenants
	users []packedUser
}

func (l *userList) add(tenant identity.Tenant, users []packedUser) {
	l.tenants.add(tenant, len(users))
	if l.users == nil {
		l.users = users
		return
	}
	l.users = append(l.users, users...)
}

func (l userList) Len() int                { return len(l.users) }
func (l userList) At(i int) directory.User { return l.users[i].unpack(l.at(i), l.words) }

// lineList is a directory.Listing of the extensions of a phone system.
type lineList struct {
	words  *words
	system identity.System
	lines  []packedLine
}

func (l lineList) Len() int { return len(l.lines) }

func (l lineList) At(i int) directory.Extension {
	line := l.lines[i].unpack(l.system, l.words)
	return line.Extension()
}

// recordList is a directory.Listing of the records of numbers of a phone system. Who has
// several is listed as often.
type recordList struct {
	words *words
	tenants
	system  identity.System
	records []packedRecord
}

func (l recordList) Len() int { return len(l.records) }

func (l recordList) At(i int) directory.Record {
	nth := 0
	for nth < i && l.records[i-nth-1] == l.records[i] {
		nth++
	}
	r, _ := l.records[i].ownedOf(l.system, l.at(i), nth, l.words)
	return r
}

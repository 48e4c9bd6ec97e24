package usersync

import (
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
)

// packedRecord is a record of some person as the bucket has it. Two are the same if they
// say the same.
type packedRecord string

// packRecord packs a record that is normal, as Record.Normal makes it.
func packRecord(user identity.User, k kept, w *words) packedRecord {
	var p packer
	p.text(string(user))
	p.flags(k.broken)
	p.number(k.revision)
	return packedRecord(p.String() + packContent(k.Record, w))
}

// packContent packs what is stored of a record that is normal.
func packContent(r links.Record, w *words) string {
	p := packer{words: w}
	p.number(uint64(len(r.Lines)))
	for i := range r.Lines {
		p.link(&r.Lines[i])
	}
	p.number(uint64(len(r.Owned)))
	for i := range r.Owned {
		p.owned(&r.Owned[i])
	}
	p.number(uint64(len(r.History)))
	for i := range r.History {
		h := &r.History[i]
		p.line(h.Line)
		p.word(h.How)
		p.time(h.Since)
		p.time(h.Until)
	}
	return p.String()
}

// begin takes what is before the content of a record.
func (p packedRecord) begin() (u unpacker, user identity.User, broken bool, revision uint64) {
	u = unpacker{from: string(p)}
	user = identity.User(u.text())
	broken, revision = u.flags()[0], u.number()
	return u, user, broken, revision
}

// content is what is stored; "" of a record that could not be read, which differs from
// all that can be stored.
func (p packedRecord) content() string {
	u, _, broken, _ := p.begin()
	if broken {
		return ""
	}
	return u.from
}

// unpack returns the record of a user of a tenant.
func (p packedRecord) unpack(tenant identity.Tenant, w *words) (k kept) {
	p.unpackInto(tenant, w, &k)
	return k
}

// unpackInto is unpack into the slices of another record.
func (p packedRecord) unpackInto(tenant identity.Tenant, w *words, k *kept) {
	u, user, broken, revision := p.begin()
	u.words = w
	k.broken, k.revision = broken, revision
	k.Lines = some(k.Lines, u.number(), u.link)
	k.Owned = some(k.Owned, u.number(), func() directory.Record { return u.owned(identity.Person{Tenant: tenant, User: user}) })
	k.History = some(k.History, u.number(), func() links.Former {
		return links.Former{Line: u.line(), How: u.word(), Since: u.time(), Until: u.time()}
	})
}

// some takes so many into a slice.
func some[T any](all []T, n uint64, next func() T) []T {
	all = all[:0]
	for range n {
		all = append(all, next())
	}
	return all
}

// ownedOf returns how many records of numbers there are on a phone system, and the i-th
// of them, in the order of numbers.
func (p packedRecord) ownedOf(system identity.System, tenant identity.Tenant, i int, w *words) (r directory.Record, n int) {
	u, user, _, _ := p.begin()
	u.words = w
	for range u.number() {
		u.link()
	}
	for range u.number() {
		one := u.owned(identity.Person{Tenant: tenant, User: user})
		if one.Line.System != system {
			continue
		}
		if n == i {
			r = one
		}
		n++
	}
	return r, n
}

func (p *packer) line(l identity.Line) {
	p.word(string(l.System))
	p.text(string(l.Extension))
}

func (u *unpacker) line() identity.Line {
	return identity.Line{System: identity.System(u.word()), Extension: identity.Extension(u.text())}
}

func (p *packer) link(l *links.Line) {
	p.line(l.Line)
	p.number(l.Revision)
	p.powers(l.Powers)
	p.word(l.How)
	p.time(l.Since)
}

func (u *unpacker) link() links.Line {
	return links.Line{Line: u.line(), Revision: u.number(), Powers: u.powers(), How: u.word(), Since: u.time()}
}

func (p *packer) owned(r *directory.Record) {
	p.line(r.Line)
	p.flags(r.WasEnabled, r.PhotoDue, r.Unsent)
	p.word(string(r.How))
	p.time(r.Since)
	p.time(r.Left)
	p.fields(&r.Last)
	p.text(r.Photo)
}

func (u *unpacker) owned(person identity.Person) directory.Record {
	r := directory.Record{Person: person, Line: u.line()}
	flags := u.flags()
	r.WasEnabled, r.PhotoDue, r.Unsent = flags[0], flags[1], flags[2]
	r.How = directory.How(u.word())
	r.Since, r.Left = u.time(), u.time()
	r.Last = u.fields()
	r.Photo = u.text()
	return r
}

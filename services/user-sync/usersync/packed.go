package usersync

import (
	"encoding/binary"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
)

// What is known of everybody is kept packed: one string for a user, an extension or a
// record, which the collector need not look into, instead of a dozen small ones beside
// their headers. Unpacked texts are parts of that string and cost nothing; who keeps one
// for long clones it.

// packer puts together what an unpacker takes apart, in the same order.
type packer struct {
	words *words
	to    []byte
}

func (p *packer) number(n uint64) { p.to = binary.AppendUvarint(p.to, n) }

func (p *packer) text(s string) {
	p.number(uint64(len(s)))
	p.to = append(p.to, s...)
}

// flags are up to eight.
func (p *packer) flags(all ...bool) {
	var b byte
	for i, is := range all {
		if is {
			b |= 1 << i
		}
	}
	p.to = append(p.to, b)
}

// time keeps the instant to the nanosecond, and that there is none.
func (p *packer) time(t time.Time) {
	p.flags(t.IsZero())
	if !t.IsZero() {
		p.to = binary.AppendVarint(p.to, t.Unix())
		p.number(uint64(t.Nanosecond()))
	}
}

// names are mostly a first name, a last name and both.
func (p *packer) names(first, last, display string) {
	both := first != "" && last != "" && len(display) == len(first)+1+len(last) && strings.HasPrefix(display, first+" ") && strings.HasSuffix(display, last)
	p.flags(both)
	if both {
		p.text(display)
		p.number(uint64(len(first)))
		return
	}
	p.text(first)
	p.text(last)
	p.text(display)
}

func (p *packer) fields(f *directory.Fields) {
	p.flags(f.SignIn)
	p.names(f.FirstName, f.LastName, f.DisplayName)
	p.text(f.Mail)
	p.text(f.Mobile)
	p.text(f.CallerID)
	p.word(f.Department)
	p.word(f.Language)
}

// String is what was packed.
func (p *packer) String() string { return string(p.to) }

// unpacker takes apart what a packer made. It trusts it: nothing that is packed comes
// from outside.
type unpacker struct {
	words *words // nil: for what is before the first of them
	from  string
}

func (u *unpacker) number() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := u.from[0]
		u.from = u.from[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (u *unpacker) text() (s string) {
	n := u.number()
	s, u.from = u.from[:n], u.from[n:]
	return s
}

// flags returns eight, those that nobody packed are false.
func (u *unpacker) flags() (all [8]bool) {
	b := u.from[0]
	u.from = u.from[1:]
	for i := range all {
		all[i] = b&(1<<i) != 0
	}
	return all
}

func (u *unpacker) time() time.Time {
	if u.flags()[0] {
		return time.Time{}
	}
	n := u.number()
	seconds := int64(n>>1) ^ -int64(n&1) // as binary.AppendVarint writes it
	return time.Unix(seconds, int64(u.number())).UTC()
}

func (u *unpacker) names() (first, last, display string) {
	if u.flags()[0] {
		display = u.text()
		n := u.number()
		return display[:n], display[n+1:], display
	}
	return u.text(), u.text(), u.text()
}

func (u *unpacker) fields() (f directory.Fields) {
	f.SignIn = u.flags()[0]
	f.FirstName, f.LastName, f.DisplayName = u.names()
	f.Mail, f.Mobile, f.CallerID = u.text(), u.text(), u.text()
	f.Department, f.Language = u.word(), u.word()
	return f
}

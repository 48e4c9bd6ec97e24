package usersync

import (
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// packedUser is what matters of a user of some tenant.
type packedUser string

func packUser(u wire.User, w *words) packedUser {
	p := packer{words: w}
	p.text(string(u.Person.User))
	mailed := u.Mail == u.UPN
	p.flags(u.Gone, u.Enabled, u.Type == "Guest", mailed)
	if u.Gone {
		return packedUser(p.String())
	}
	p.text(u.UPN)
	if !mailed {
		p.text(u.Mail)
	}
	p.names(u.GivenName, u.Surname, u.DisplayName)
	p.text(u.Mobile)
	p.text(u.OfficePhone)
	p.word(u.Department)
	p.word(u.Language)
	p.word(u.Purpose)
	p.text(u.Photo)
	return packedUser(p.String())
}

// gone says whether the account was deleted.
func (p packedUser) gone() bool {
	u := unpacker{from: string(p)}
	u.text()
	return u.flags()[0]
}

// unpack returns the user as plans see them.
func (p packedUser) unpack(tenant identity.Tenant, w *words) directory.User {
	u := unpacker{w, string(p)}
	user := directory.User{Person: identity.Person{Tenant: tenant, User: identity.User(u.text())}}
	flags := u.flags()
	user.Gone, user.Enabled, user.Guest = flags[0], flags[1], flags[2]
	if user.Gone {
		return user
	}
	user.UPN = u.text()
	if user.Mail = user.UPN; !flags[3] {
		user.Mail = u.text()
	}
	user.GivenName, user.Surname, user.DisplayName = u.names()
	user.Mobile = u.text()
	if office := u.text(); office != "" {
		user.Phones = []string{office}
	}
	user.Department, user.Language = u.word(), u.word()
	user.Purpose, user.Photo = directory.Purpose(u.word()), u.text()
	return user
}

// packedLine is what is known of an extension of some phone system.
type packedLine string

func packLine(l wire.Inventory, w *words) packedLine {
	p := packer{words: w}
	p.text(string(l.Line.Extension))
	p.flags(l.Gone, l.Enabled)
	if l.Gone {
		return packedLine(p.String())
	}
	p.fields(&l.Fields)
	p.text(string(l.Marker))
	p.powers(l.Powers)
	return packedLine(p.String())
}

// gone says whether there is no such extension any more.
func (p packedLine) gone() bool {
	u := unpacker{from: string(p)}
	u.text()
	return u.flags()[0]
}

// unpack returns the extension, but not when it was seen.
func (p packedLine) unpack(system identity.System, w *words) wire.Inventory {
	u := unpacker{w, string(p)}
	l := wire.Inventory{Line: identity.Line{System: system, Extension: identity.Extension(u.text())}}
	flags := u.flags()
	if l.Gone, l.Enabled = flags[0], flags[1]; l.Gone {
		return l
	}
	l.Fields = u.fields()
	l.Marker = identity.User(u.text())
	l.Powers = u.powers()
	return l
}

func (p *packer) powers(is presence.Powers) {
	p.to = append(p.to, byte(is.Write), byte(is.Read), byte(is.Ring))
}

func (u *unpacker) powers() (is presence.Powers) {
	is = presence.Powers{Write: presence.Set(u.from[0]), Read: presence.Set(u.from[1]), Ring: presence.Set(u.from[2])}
	u.from = u.from[3:]
	return is
}

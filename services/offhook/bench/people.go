package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/wire"
)

func peopleTable() Table {
	return Table{
		Name: "people",
		What: "A directory becomes extensions: all services but the receiver, and a broker that syncs, each a process of its own, between a simulated tenant and a simulated 3CX, two requests to the phone system at a time. First: from nothing. Again: all services anew, nothing changed, until every status is read and a plan has nothing to do. 1 %: so many change their name at once.",
		Aim:  "100,000 users; a second run writes nothing; the memory of the services grows by at most 1 KB for a user.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: syncColumns("users", directoryParts)}
			for _, users := range b.Sizes.People {
				if err := b.people(ctx, &r, users); err != nil {
					return r, fmt.Errorf("%d users: %w", users, err)
				}
			}
			r.note(syncNote)
			return r, nil
		},
	}
}

func (b *Bench) people(ctx context.Context, r *Report, users int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &synced{ctx: ctx, bench: b, users: users, parts: directoryParts}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := errors.Join(p.open(), p.configure(false)); err != nil {
		return err
	}
	if _, err := p.measure(r, users, "first", p.start, p.has); err != nil {
		return err
	}
	r.check(p.right() == "", "%s", p.right())
	writes, err := p.measure(r, users, "again", p.anew, p.readAll(func() string { return p.nothing(wire.SyncUsers, wire.SyncPlan, wire.SyncPlanned) }))
	if err != nil {
		return err
	}
	r.check(writes == 0, "%d writes although nothing changed", writes)
	few := max(1, users/100)
	tenant := p.graph.Tenant("contoso")
	_, err = p.measure(r, users, "1 %", func() error {
		for i, id := range tenant.UserIDs()[:few] {
			if err := tenant.EditUser(id, func(u *graphsim.User) { u.Surname = fmt.Sprint("Changed", i) }); err != nil {
				return err
			}
		}
		_, err := p.order(wire.SyncUsers, wire.SyncRead)
		return err
	}, func() string { return p.renamed(few) })
	return err
}

// right says what is wrong with the extensions: every user has one, under numbers that
// nobody else has.
func (p *synced) right() string {
	mails := map[string]identity.Extension{}
	for _, e := range p.pbx.Truth() {
		if e.Mail == "" || e.Number == "10" {
			continue
		}
		if other, twice := mails[e.Mail]; twice {
			return fmt.Sprintf("%s has %s and %s", e.Mail, other, e.Number)
		}
		mails[e.Mail] = e.Number
	}
	if len(mails) != p.users {
		return fmt.Sprintf("%d users have extensions, not %d", len(mails), p.users)
	}
	return ""
}

func (p *synced) renamed(few int) string {
	renamed := 0
	for _, e := range p.pbx.Truth() {
		if strings.HasPrefix(e.LastName, "Changed") {
			renamed++
		}
	}
	if renamed < few {
		return fmt.Sprintf("%d of %d have their new names", renamed, few)
	}
	return ""
}

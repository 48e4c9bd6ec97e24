package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/books"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

// native checks what a phone system's own Microsoft 365 sync does. What it keeps, Offhook
// leaves alone, unless the configuration overrules that.
func (d *run) native(ctx context.Context, group string, c config.Config, s config.System, native pbx.NativeSync) {
	state, err := native.NativeSync(ctx)
	if err != nil {
		d.warn(group, "OH-PBX-004", "its own Microsoft 365 sync", err.Error(), "check by hand that it is off")
		return
	}
	if state.Statuses() {
		d.problem(group, "OH-PBX-004", "its own Microsoft 365 sync", errors.New("it sets statuses as well: two masters would fight"), "switch its presence and calendar sync off")
	} else {
		d.ok(group, "OH-PBX-004", "its own Microsoft 365 sync does not set statuses")
	}
	if overruled, _ := s.Options["ignore_native_sync"].(bool); overruled {
		return
	}
	const either = "; or set options.ignore_native_sync of the system, and both will write"
	d.kept("extensions", state.Extensions(), served(c, s, provides), Check{Group: group, Code: "OH-PBX-005", Level: "problem",
		Fix: "switch its user sync off; or leave extensions to it, with users.policy: off" + either})
	// Personal contacts are asked for unless the configuration says otherwise, so this is
	// perhaps nobody's wish.
	d.kept("phonebooks", state.Books(), served(c, s, hasContacts), Check{Group: group, Code: "OH-PBX-006", Level: "warning",
		Fix: "switch its sync of contacts and shared mailboxes off; or leave phonebooks to it, with contacts.personal: false and no shared_mailboxes" + either})
}

// kept checks whether the phone system keeps something itself that Offhook is to keep for
// some tenants. That is as bad, and mended, as otherwise says.
func (d *run) kept(what string, itself bool, tenants []string, otherwise Check) {
	check := "its own Microsoft 365 sync does not keep " + what
	switch {
	case !itself:
		d.ok(otherwise.Group, otherwise.Code, check)
	case len(tenants) == 0:
		d.ok(otherwise.Group, otherwise.Code, "its own Microsoft 365 sync keeps "+what+"; Offhook leaves them alone")
	default:
		otherwise.Check = check
		otherwise.Cause = fmt.Sprintf("it keeps %s itself, so Offhook changes none of them, although it is to do so for %s", what, strings.Join(tenants, ", "))
		d.add(otherwise)
	}
}

// shared checks that each mailbox whose contacts are everybody's is somebody's.
func (d *run) shared(ctx context.Context, group string, t config.Tenant, client directory) {
	const code = "OH-M365-007"
	for _, name := range t.Contacts.SharedMailboxes {
		check := fmt.Sprintf("contacts.shared_mailboxes: %q", name)
		switch _, err := client.User(ctx, identity.User(name)); {
		case err == nil:
			d.ok(group, code, check)
		case fault.KindOf(err) == fault.NotFound:
			d.warn(group, code, check, "no user has this object id or principal name, so nobody's contacts reach the company's phonebooks for it",
				"correct it, or write the object id as the Entra admin centre shows it")
		default:
			d.warn(group, code, check, "it cannot be looked up: "+err.Error(), "try again; if that does not help, grant User.Read.All")
		}
	}
}

// served lists the tenants of a phone system that ask for something.
func served(c config.Config, s config.System, ask func(config.Tenant) bool) (tenants []string) {
	for _, t := range c.Tenants {
		if slices.Contains(s.Tenants, t.ID) && ask(t) {
			tenants = append(tenants, t.ID)
		}
	}
	return tenants
}

// plans checks whether the brake holds something back. The newest plan of each kind says
// so, which the installation that runs is asked for.
func (d *run) plans(ctx context.Context, c config.Config) {
	if d.o.Plans == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all, err := d.o.Plans(ctx)
	if err != nil {
		if slices.ContainsFunc(c.Tenants, provides) {
			d.warn("Plans", "OH-PLAN-001", "Offhook says what it plans", err.Error(), "start Offhook, or name the address of its control API with --api")
		}
		return
	}
	for _, t := range c.Tenants {
		for _, kind := range []wire.SyncKind{wire.SyncUsers, wire.SyncContacts} {
			if i := slices.IndexFunc(all, func(p api.Plan) bool { return p.Tenant == t.ID && p.Kind == string(kind) }); i >= 0 {
				d.brake("Plans "+t.ID, all[i])
			}
		}
	}
}

// books checks whether a person has to do something about phonebooks. The installation that
// runs knows.
func (d *run) books(ctx context.Context) {
	if d.o.Phonebooks == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	states, err := d.o.Phonebooks(ctx)
	if err != nil {
		return // OH-PLAN-001 says so
	}
	for _, s := range states {
		const code, check = "OH-BOOK-001", "no phonebook needs a person"
		counts := map[string]int{}
		var first *books.Standing
		for i, b := range s.Attention {
			if !b.Alarming() {
				continue
			}
			if counts[b.Why]++; first == nil {
				first = &s.Attention[i]
			}
		}
		group := "Phonebooks " + string(s.Tenant)
		if first == nil {
			d.ok(group, code, check)
			continue
		}
		var words []string
		for _, why := range slices.Sorted(maps.Keys(counts)) {
			words = append(words, fmt.Sprintf("%d %s", counts[why], why))
		}
		d.warn(group, code, check, fmt.Sprintf("%s; the first is %s of mailbox %s: %s", strings.Join(words, ", "), first.Book, first.Mailbox, strings.TrimSuffix(first.Why+": "+first.Detail, ": ")),
			fmt.Sprintf("see all of them with `offhook plan contacts --tenant %s`", s.Tenant))
	}
}

// brake checks the newest plan of a kind.
func (d *run) brake(group string, p api.Plan) {
	const code = "OH-PLAN-002"
	check := "the brake of " + p.Kind + " holds nothing back"
	// A plan for phonebooks does not say that it was applied: an old one says nothing.
	over := p.State == string(wire.SyncDone) || p.State == string(wire.SyncExpired) && p.Kind == string(wire.SyncContacts)
	if !p.Brake.Tripped || over {
		d.ok(group, code, check)
		return
	}
	d.warn(group, code, check,
		fmt.Sprintf("it holds %d changes back: by the plan of %s, %d of %d would be disabled or deleted within 24 hours, more than %s.brake allows",
			p.Brake.Held, p.Made.UTC().Format("2006-01-02 15:04 UTC"), p.Brake.Removed, p.Brake.Linked, p.Kind),
		fmt.Sprintf("look at them with `offhook plan %s --tenant %s`; if so many are to go, apply that plan with --force, else see what was done to groups, filters or licences in Microsoft 365", p.Kind, p.Tenant))
}

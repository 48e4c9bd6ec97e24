package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/config"
	people "offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// patient is a phone system that is looked at.
type patient struct {
	*run
	group  string
	config config.System
	tended []config.Tenant // that it serves
	driver pbx.Driver
	can    pbx.Capabilities
	sample identity.Extension // one that is listed
}

// system checks one phone system: first what everything else depends on.
func (d *run) system(ctx context.Context, c config.Config, s config.System) {
	p := patient{run: d, group: "Phone system " + s.ID, config: s, tended: slices.Clone(c.Tenants)}
	p.tended = slices.DeleteFunc(p.tended, func(t config.Tenant) bool { return !slices.Contains(s.Tenants, t.ID) })
	if !p.signIn(ctx) {
		return
	}
	defer p.driver.Close()
	p.certificate(ctx)
	p.version()
	p.licence(ctx)
	p.statuses()
	if !p.read(ctx) {
		return
	}
	p.server()
	p.lamps(ctx)
	p.inventory(ctx)
	p.watch(ctx)
	p.routes(ctx)
	if native, ok := p.driver.(pbx.NativeSync); ok {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		d.native(ctx, p.group, c, s, native)
	}
	for _, line := range d.o.Write {
		if string(line.System) == s.ID {
			p.write(ctx, line.Extension)
		}
	}
}

// signIn opens the driver. Where a protocol has no session (SIP), nothing is sent yet.
func (p *patient) signIn(ctx context.Context) bool {
	const code = "OH-PBX-001"
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	driver, err := p.o.OpenSystem(ctx, visiting(p.config))
	if err != nil {
		p.problem(p.group, code, "sign in", err, p.fix(err, signingIn))
		return false
	}
	p.driver, p.can = driver, driver.Capabilities()
	text := "signed in"
	if p.can.Version != "" {
		text += " (version " + p.can.Version + ")"
	}
	p.ok(p.group, code, text)
	return true
}

// trialExpires is how long the server keeps what a trial publishes.
const trialExpires = "5s"

// visiting is a system as the doctor opens it, who is a guest beside the process that
// publishes. Lamps would follow what is read, and go out with the doctor for all who watch
// them. What a trial publishes ends by itself: were it taken back, Kamailio (5.6.3) would
// tell phones that the extension is gone, whatever others publish of it.
func visiting(s config.System) config.System {
	if s.Driver != "sip-presence" {
		return s
	}
	s.Options = maps.Clone(s.Options)
	if s.Options == nil {
		s.Options = map[string]any{}
	}
	delete(s.Options, "lamps")
	delete(s.Options, "remove_on_close")
	s.Options["expires"] = trialExpires
	return s
}

// statuses says which can be shown.
func (p *patient) statuses() {
	const code = "OH-PBX-002"
	if p.can.Powers.Write == presence.All {
		p.ok(p.group, code, "all five statuses can be shown")
		return
	}
	var writes []string
	for _, status := range p.can.Powers.Write.Slice() {
		writes = append(writes, status.String())
	}
	p.warn(p.group, code, "statuses", "can show only "+strings.Join(writes, ", "), "the others are projected towards ringing")
}

// read reads all statuses, as pbx-writer does all the time.
func (p *patient) read(ctx context.Context) bool {
	const code, check = "OH-PBX-003", "read statuses"
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	count := 0
	err := p.driver.Statuses(bounded, func(ext identity.Extension, _ presence.Status) error {
		p.sample = cmp.Or(p.sample, ext)
		count++
		return nil
	})
	switch {
	case err != nil && count > 0 && bounded.Err() != nil && ctx.Err() == nil:
		p.warn(p.group, code, check, fmt.Sprintf("%d extensions were read in %s, and there are more", count, timeout), "nothing, if there are thousands; else find out why the phone system is slow")
		return true
	case err == nil && count == 0:
		return p.readLinked(ctx, code, check)
	case err != nil:
		p.problem(p.group, code, check, err, p.fix(err, reading))
		return false
	}
	p.ok(p.group, code, fmt.Sprintf("statuses of %d extensions read", count))
	return true
}

// readLinked reads the status of somebody who is linked, where nobody is listed: without
// that, nothing might have been asked at all.
func (p *patient) readLinked(ctx context.Context, code, check string) bool {
	for _, t := range p.tended {
		for _, l := range t.Links {
			if l.System != p.config.ID {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			_, err := p.driver.Status(ctx, identity.Extension(l.Extension))
			if err != nil && fault.KindOf(err) != fault.NotFound {
				p.problem(p.group, code, check, err, p.fix(err, reading))
				return false
			}
		}
	}
	p.warn(p.group, code, check, "no extension is listed, so nobody's status is shown", adviceFor(p.config.Driver).nobody)
	return true
}

// lamplighter is a driver that can say whether the server serves lamps.
type lamplighter interface {
	Lamps(context.Context, identity.Extension) error
}

// lamps says whether those that are configured are served: where they are not they stay
// dark, which the service has told only once.
func (p *patient) lamps(ctx context.Context) {
	const code, check = "OH-PBX-014", "lamps"
	lamplighter, ok := p.driver.(lamplighter)
	ext := p.somebody()
	if !ok || !hasLamps(p.config) || ext == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := lamplighter.Lamps(ctx, ext)
	switch {
	case err == nil:
		p.ok(p.group, code, "lamps are served")
	case fault.KindOf(err) == fault.Invalid:
		p.problem(p.group, code, check, err, "load the server's module for dialog-info (Kamailio: presence_dialoginfo), or remove options.lamps of system "+p.config.ID)
	default:
		p.problem(p.group, code, check, err, p.fix(err, reading))
	}
}

// hasLamps says whether there are statuses that light lamps.
func hasLamps(s config.System) bool {
	lamps := s.Options["lamps"]
	list, ok := lamps.([]any)
	return lamps != nil && (!ok || len(list) > 0)
}

// somebody is an extension as an example: one that is listed, else one that is linked; ""
// if there is none.
func (p *patient) somebody() identity.Extension {
	if p.sample != "" {
		return p.sample
	}
	for _, t := range p.tended {
		for _, l := range t.Links {
			if l.System == p.config.ID {
				return identity.Extension(l.Extension)
			}
		}
	}
	return ""
}

// inventory lists extensions, and looks for those that links name.
func (p *patient) inventory(ctx context.Context) {
	const code, check = "OH-PBX-007", "list extensions"
	extensions, ok := p.driver.(pbx.Extensions)
	if !ok {
		return // the listing of statuses has told that nobody is known
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	there, mails := map[identity.Extension]bool{}, 0
	err := extensions.Extensions(ctx, func(e people.Extension) error {
		there[e.Number] = true
		if e.Mail != "" {
			mails++
		}
		return nil
	})
	if err != nil {
		p.problem(p.group, code, check, err, p.fix(err, reading))
		return
	}
	var missing []string
	links := 0
	for _, t := range p.tended {
		for _, l := range t.Links {
			if l.System != p.config.ID {
				continue
			}
			if links++; !there[identity.Extension(l.Extension)] {
				missing = append(missing, fmt.Sprintf("%s (%s of %s)", l.Extension, l.User, t.ID))
			}
		}
	}
	switch {
	case len(missing) > 0:
		p.warn(p.group, code, check, "links name extensions that there are not: "+strings.Join(missing, ", "), "correct links, or "+adviceFor(p.config.Driver).nobody)
	case mails == 0 && links == 0 && len(there) > 0:
		p.warn(p.group, code, check, fmt.Sprintf("none of %d extensions has a mail address, so no user is linked to one", len(there)), "write links of the tenant; or "+adviceFor(p.config.Driver).mails)
	default:
		p.ok(p.group, code, fmt.Sprintf("%d extensions listed, %d with a mail address", len(there), mails))
	}
}

// watch waits until the phone system has told what is the case, which needs rights of its
// own nearly everywhere. Without it statuses are read now and then, and calls not seen.
func (p *patient) watch(ctx context.Context) {
	const code, check = "OH-PBX-008", "be told of changes"
	var callers []string // who want calls in Teams
	for _, t := range p.tended {
		if presence.Mode(t.Presence.Mode).WritesTeams() {
			callers = append(callers, t.ID)
		}
	}
	wanted := "; calls are not shown in Teams, which presence.mode of " + strings.Join(callers, ", ") + " asks for"
	watcher, ok := p.driver.(pbx.Watcher)
	switch {
	case !ok && len(callers) == 0:
		p.ok(p.group, code, "calls are not watched, and nobody asks for them")
		return
	case !ok && p.can.NoWatch != "":
		p.problem(p.group, code, check, errors.New(p.can.NoWatch+wanted), adviceFor(p.config.Driver).watching)
		return
	case !ok:
		p.warn(p.group, code, check, "the driver "+p.config.Driver+" is told of no calls"+wanted, "use the mode teams-to-pbx, or a driver that watches calls: docs/drivers/README.md")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	synced := false
	err := watcher.Watch(ctx, func(e pbx.WatchEvent) {
		if _, all := e.(pbx.Synced); all {
			synced = true
			cancel()
		}
	})
	switch {
	case synced:
		p.ok(p.group, code, cmp.Or(adviceOn(p.config).told, "the phone system tells of changes"))
	case len(callers) > 0:
		p.problem(p.group, code, check, fmt.Errorf("%w%s", err, wanted), p.fix(err, watching))
	default:
		p.warn(p.group, code, check, err.Error()+"; changes are seen when everything is read, every two seconds", p.fix(err, watching))
	}
}

// router is a driver whose phone system tells where calls go under each status, and the
// text that is shown with it, in words that are fit to print.
type router interface {
	Routes(context.Context, identity.Extension) (map[presence.Status]string, error)
}

// routes says what statuses do to the calls of one extension, as an example.
func (p *patient) routes(ctx context.Context) {
	const code, check = "OH-PBX-012", "where calls go"
	router, ok := p.driver.(router)
	if !ok || p.sample == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	routes, err := router.Routes(ctx, p.sample)
	if err != nil {
		p.warn(p.group, code, check, err.Error(), p.fix(err, reading))
		return
	}
	for _, status := range presence.Statuses() {
		if route, told := routes[status]; told {
			p.ok(p.group, code, fmt.Sprintf("calls of %s (as an example) while it shows %s: %s", p.sample, status, route))
		}
	}
}

// write makes an extension show what it shows.
func (p *patient) write(ctx context.Context, ext identity.Extension) {
	const code = "OH-PBX-011"
	check := "write the status of " + string(ext)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	shown, err := p.driver.Status(ctx, ext)
	switch {
	case err != nil:
		p.problem(p.group, code, check, err, p.fix(err, reading))
		return
	case shown == presence.Unset:
		p.warn(p.group, code, check, "nothing was written: it shows no status that could be written again", "choose an extension that shows one, at the phone or by Offhook")
		return
	case !p.can.Powers.Write.Has(shown):
		p.warn(p.group, code, check, "nothing was written: it shows "+shown.String()+", which can be read and not be written", "choose an extension that shows another status")
		return
	}
	if err := p.driver.SetStatus(ctx, ext, shown); err != nil {
		p.problem(p.group, code, check, err, p.fix(err, writing))
		return
	}
	after, err := p.driver.Status(ctx, ext)
	if err != nil {
		p.problem(p.group, code, check, err, p.fix(err, reading))
		return
	}
	if after != shown {
		p.problem(p.group, code, check, fmt.Errorf("it was accepted and forgotten: %s is shown instead of %s", after, shown),
			"see whether somebody has changed it at this moment; else see docs/drivers/"+p.config.Driver+".md for where the phone system keeps statuses")
		return
	}
	p.ok(p.group, code, fmt.Sprintf("the status of %s can be written (it shows %s, as before)", ext, shown))
}

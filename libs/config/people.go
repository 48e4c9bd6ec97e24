package config

import (
	"slices"
	"strings"
	"time"
)

func (d *decoder) validateUsers(path string, u Users) {
	d.required(join(path, "at"), u.At, "write a schedule, as in \"0 2 * * *\"")
	d.required(join(path, "zone"), u.Zone, "write a time zone, as in Europe/Berlin")
	named := d.distinctNames(join(path, "include"), u.Include)
	for i, user := range u.Exclude {
		if first, both := named[strings.ToLower(user)]; both {
			d.report(at(join(path, "exclude"), i), show(user)+" is also "+first, "say it in one of the two")
		}
	}
	d.distinctNames(join(path, "exclude"), u.Exclude)
	d.distinctNames(join(path, "groups"), u.Groups)
	d.validateRanges(join(path, "ranges"), u.Ranges)
	if slices.Contains(u.Include, everyone) && len(u.Include) > 1 {
		d.report(join(path, "include"), "there are users beside the word "+everyone, "write "+everyone+" alone, or users only")
	}
	if u.Hold < 0 {
		d.report(join(path, "hold"), "a hold is not negative", "write 0s to delete at once, 720h for 30 days")
	}
	d.validateBrake(join(path, "brake"), u.Brake, "users")
}

func (d *decoder) validateRanges(path string, ranges []NumberRange) {
	for i, r := range ranges {
		here := at(path, i)
		d.distinctNames(join(here, "groups"), r.Groups)
		d.distinctNames(join(here, "departments"), r.Departments)
		d.required(join(here, "from"), r.From, "write the first number, as in \"300\"")
		d.required(join(here, "to"), r.To, "write the last number, as in \"399\"")
		switch {
		case r.From == "" || r.To == "":
		case len(r.From) != len(r.To):
			d.report(join(here, "to"), show(r.To)+" has not as many digits as "+show(r.From), "write both with the same number of digits, as in \"300\" and \"399\"")
		case r.From > r.To:
			d.report(join(here, "to"), show(r.To)+" is before "+show(r.From), "write the lower number as from")
		}
	}
}

// GroupsNamed are the groups whose members decide who gets an extension, or which number.
func (u Users) GroupsNamed() []string {
	all := slices.Clone(u.Groups)
	for _, r := range u.Ranges {
		all = append(all, r.Groups...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (d *decoder) validateBrake(path string, b Brake, of string) {
	if b.Count < 0 {
		d.report(join(path, "count"), "a number of "+of+" is not negative", "write 0 or more")
	}
	if b.Percent < 0 || b.Percent > 100 {
		d.report(join(path, "percent"), "a share is between 0 and 100", "write 5 for 5 %")
	}
}

func (d *decoder) validateContacts(path string, c Contacts) {
	d.distinctNames(join(path, "shared_mailboxes"), c.SharedMailboxes)
	d.distinctNames(join(path, "folders"), c.Folders)
	d.validateBrake(join(path, "brake"), c.Brake, "contacts")
}

// distinctNames reports names that stand in a list twice, capitals apart. It returns
// where each is first, by its name in lower case.
func (d *decoder) distinctNames(path string, names []string) unique {
	seen := unique{}
	for i, name := range names {
		d.distinct(seen, at(path, i), strings.ToLower(name))
	}
	return seen
}

// NextRun is the first time after a moment at which users are synchronised. It goes by
// the clocks of the users' zone: a time that they skip in spring is when they are put
// forward, and of one that they show twice in autumn the first counts. That of a loaded
// Config is never zero.
func (u Users) NextRun(after time.Time) time.Time {
	zone, err := time.LoadLocation(u.Zone)
	if err != nil {
		return time.Time{}
	}
	return nextRun(u.At, after.In(zone))
}

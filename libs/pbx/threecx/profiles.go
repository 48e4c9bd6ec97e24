package threecx

import (
	"context"
	"net/url"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
)

// profile is what is known of one forwarding profile.
type profile struct{ Name, CustomName string }

// profiles translates between statuses and the names of one phone system.
type profiles struct {
	names    map[presence.Status]string // what is written
	statuses map[string]presence.Status // what may be read, in lower case
}

// aliases are the names under which the five are known: the internal ones of V20
// first, then the labels of its clients. Lower case.
var aliases = []struct {
	status presence.Status
	names  []string
}{
	{presence.Available, []string{"available"}},
	{presence.Away, []string{"away"}},
	{presence.DND, []string{"out of office", "outofoffice", "do not disturb", "dnd"}},
	{presence.Lunch, []string{"custom 1", "available2", "lunch"}},
	{presence.BusinessTrip, []string{"custom 2", "outofoffice2", "business trip"}},
}

// internal are the profiles of a V20 that nobody has touched.
var internal = []profile{{Name: "Available"}, {Name: "Away"}, {Name: "Out of office"}, {Name: "Custom 1"}, {Name: "Custom 2"}}

// newProfiles works out what each status is called here. A profile's Name decides;
// its CustomName, an administrator's or user's label, only where no Name is known
// for a status. Names that nothing stands for are read as presence.Unset.
func newProfiles(found []profile) profiles {
	p := profiles{names: make(map[presence.Status]string), statuses: make(map[string]presence.Status)}
	taken := make(map[string]bool)
	for _, label := range []func(profile) string{
		func(f profile) string { return f.Name },
		func(f profile) string { return f.CustomName },
	} {
		for _, alias := range aliases {
			for _, name := range alias.names {
				for _, f := range found {
					if f.Name == "" || taken[f.Name] || fold(label(f)) != name || p.names[alias.status] != "" {
						continue
					}
					taken[f.Name] = true
					p.names[alias.status] = f.Name
					p.statuses[fold(f.Name)] = alias.status
				}
			}
		}
	}
	// Whether CurrentProfileName is ever answered with the label is not documented.
	// A label that is also a name means the name.
	for _, f := range found {
		status, known := p.statuses[fold(f.Name)]
		if _, name := p.statuses[fold(f.CustomName)]; known && !name && f.CustomName != "" {
			p.statuses[fold(f.CustomName)] = status
		}
	}
	return p
}

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// name returns the profile to activate for a status.
func (p profiles) name(s presence.Status) (string, bool) {
	name, ok := p.names[s]
	return name, ok
}

// status returns what a profile name stands for, presence.Unset if nothing.
func (p profiles) status(name string) presence.Status { return p.statuses[fold(name)] }

// powers: every status that has a profile can be written and read. Available and
// Custom 1 route calls as available, the others as away.
func (p profiles) powers() presence.Powers {
	var set presence.Set
	for s := range p.names {
		set |= presence.SetOf(s)
	}
	return presence.Powers{Write: set, Read: set, Ring: set & presence.SetOf(presence.Available, presence.Lunch)}
}

// readProfiles asks one user for their profiles: the names are the same for all.
// A phone system without users, or that does not list profiles, has the internal
// names as far as anyone knows.
func (d *Driver) readProfiles(ctx context.Context) (profiles, error) {
	const op = "threecx: profiles"
	var users struct{ Value []user }
	err := d.wire.get(ctx, op, "/Users", url.Values{"$select": {"Id"}, "$orderby": {"Id"}, "$top": {"1"}}, &users)
	if err != nil {
		return profiles{}, err
	}
	if len(users.Value) == 0 {
		return newProfiles(internal), nil
	}
	var found struct{ Value []profile }
	path := userPath(users.Value[0].ID) + "/ForwardingProfiles"
	err = d.wire.get(ctx, op, path, url.Values{"$select": {"Name,CustomName"}}, &found)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return profiles{}, err
	}
	if p := newProfiles(found.Value); p.names[presence.Available] != "" {
		return p, nil
	}
	return newProfiles(internal), nil
}

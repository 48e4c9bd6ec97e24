package portsip

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// technique is how the switch enable_dnd of all users is read.
type technique int

const (
	oneByOne technique = iota // each user is asked
	byRows                    // lists tell it
	byFilter                  // lists can be filtered by it
)

// filterDND and filterNoDND are filters of users.
const (
	filterDND   = "enable_dnd eq true"
	filterNoDND = "enable_dnd eq false"
)

// findTechnique finds out how statuses are read, with at most three requests.
func (d *Driver) findTechnique(ctx context.Context) (technique, error) {
	const op = "portsip: open"
	everybody, row, err := d.count(ctx, op, "")
	switch {
	case err != nil:
		return 0, err
	case d.config.Statuses != ByDND || everybody == 0:
		return oneByOne, nil
	case row != nil && row.DND != nil:
		return byRows, nil
	}
	sum := int64(0)
	for _, filter := range []string{filterDND, filterNoDND} {
		n, _, err := d.count(ctx, op, filter)
		if err != nil && refused(err) && fault.KindOf(err) != fault.Denied {
			return oneByOne, nil
		}
		if err != nil {
			return 0, err
		}
		sum += n
	}
	if sum == everybody { // who does not understand the filter counts everybody twice
		return byFilter, nil
	}
	return oneByOne, nil
}

// count says how many users a filter lets through, with the first of them.
func (d *Driver) count(ctx context.Context, op, filter string) (int64, *user, error) {
	query := url.Values{"top": {"1"}}
	if filter != "" {
		query.Set("filter", filter)
	}
	var page struct {
		Count int64
		Items *[]user
	}
	if err := d.wire.get(ctx, op, d.admin, "/users", query, &page); err != nil {
		return 0, nil, err
	}
	switch {
	case page.Items == nil:
		return 0, nil, fault.Errorf(fault.Unavailable, op, "%w: it holds no list (is this a PortSIP PBX?)", errSenseless)
	case len(*page.Items) == 0:
		return page.Count, nil, nil
	}
	return page.Count, &(*page.Items)[0], nil
}

// shown is what is told of one user's status.
type shown struct {
	Presence *string
	DND      *bool `json:"enable_dnd"`
}

// hidden are the presences that hide the one that was chosen.
var hidden = []string{"OFFLINE", "ON_CALL", "ON_ACLL", "OTHER_CALL", "RINGING", ""}

// presences are the names of statuses. Up to 22.2 available is AVAILABLE, since 22.3
// ONLINE.
var presences = map[string]presence.Status{
	availableOld: presence.Available, availableNew: presence.Available, "AWAY": presence.Away, "DO_NOT_DISTURB": presence.DND,
	"LUNCH": presence.Lunch, "BUSINESS_TRIP": presence.BusinessTrip,
}

// status is what somebody shows. A presence that nobody knows is presence.Unset.
func (s shown) status(way Statuses) presence.Status {
	switch {
	case s.DND != nil && *s.DND:
		return presence.DND
	case way == ByDND || s.Presence == nil:
		return presence.Available
	}
	name := folded(*s.Presence)
	for _, h := range hidden {
		if name == h {
			return presence.Available
		}
	}
	return presences[name]
}

// folded is a word of the vendor's as it is compared: "On Call" is ON_CALL.
func folded(word string) string {
	return strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(word)), " ", "_")
}

// Status reads the status of one user.
func (d *Driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	const op = "portsip: status"
	var status presence.Status
	err := d.withID(ctx, op, ext, func(id string) (err error) {
		status, err = d.statusOf(ctx, op, id)
		return err
	})
	return status, err
}

func (d *Driver) statusOf(ctx context.Context, op, id string) (presence.Status, error) {
	s, err := d.ask(ctx, op, id, true)
	if err != nil {
		return presence.Unset, err
	}
	return d.read(op, s)
}

// read is the status in what is told of a user.
func (d *Driver) read(op string, s *seen) (presence.Status, error) {
	if s.Presence == nil && s.DND == nil {
		return presence.Unset, fault.Errorf(fault.Unavailable, op, "%w: it is about no status", errSenseless)
	}
	return s.status(d.config.Statuses), nil
}

// Statuses lists the statuses of all users, or with ByOwn of those whose accounts are
// known.
func (d *Driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	const op = "portsip: statuses"
	busy := make(map[identity.Extension]bool)
	if d.technique == byFilter {
		err := d.users(ctx, op, filterDND, func(u user) error { busy[u.ext] = true; return nil })
		if err != nil {
			return err
		}
	}
	var some []identity.Extension // whose status no list has told
	err := d.users(ctx, op, "", func(u user) error {
		switch {
		case !d.reads(u.ext):
			return nil
		case d.technique == byFilter:
			on := busy[u.ext]
			return yield(u.ext, shown{DND: &on}.status(ByDND))
		case d.technique == byRows && u.DND != nil:
			return yield(u.ext, shown{DND: u.DND}.status(ByDND))
		}
		if some = append(some, u.ext); len(some) < helping {
			return nil
		}
		err := d.statusesOf(ctx, op, some, yield)
		some = some[:0]
		return err
	})
	if err != nil {
		return err
	}
	return d.statusesOf(ctx, op, some, yield)
}

// statusesOf asks some users. Those that were deleted meanwhile are left out.
func (d *Driver) statusesOf(ctx context.Context, op string, some []identity.Extension, yield func(identity.Extension, presence.Status) error) error {
	answers, err := d.askAll(ctx, op, some)
	if err != nil {
		return err
	}
	for i, ext := range some {
		if answers[i] == nil {
			continue
		}
		status, err := d.read(op, answers[i])
		if err != nil {
			return err
		}
		if err := yield(ext, status); err != nil {
			return err
		}
	}
	return nil
}

// SetStatus switches enable_dnd, or with ByOwn sets the presence as the user.
func (d *Driver) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	const op = "portsip: set status"
	if !d.Capabilities().Powers.Write.Has(s) {
		return fault.Errorf(fault.Unsupported, op, "status %q cannot be written (statuses: %s)", s, d.config.Statuses)
	}
	if d.config.Statuses == ByOwn {
		return d.setPresence(ctx, op, ext, s)
	}
	on, _ := json.Marshal(s == presence.DND)
	return d.withID(ctx, op, ext, func(id string) error {
		return d.change(ctx, op, id, members{"enable_dnd": on})
	})
}

// setPresence chooses a presence as the user would: with one request, but for available in a
// spelling that is not taken.
func (d *Driver) setPresence(ctx context.Context, op string, ext identity.Extension, s presence.Status) error {
	as, err := d.as(ctx, op, ext)
	if err != nil {
		return err
	}
	choose := func(name, note string) error {
		return d.wire.post(ctx, op, as, "/user/presence", map[string]string{"presence": name, "presence_note": note}, nil)
	}
	if s == presence.Available {
		return d.available.write(func(name string) error { return choose(name, "") })
	}
	for name, status := range presences {
		if status == s {
			return choose(name, d.config.Note)
		}
	}
	return fault.Errorf(fault.Unsupported, op, "there is no presence for %q", s)
}

// as is the session of a user. NotFound: there is no such user; Denied: nobody gave us
// the account.
func (d *Driver) as(ctx context.Context, op string, ext identity.Extension) (*session, error) {
	if as := d.sessions[ext]; as != nil {
		return as, nil
	}
	if _, err := d.lookUp(ctx, op, ext); err != nil {
		return nil, err
	}
	return nil, fault.Errorf(fault.Denied, op, "this can only be done as the user, and options.accounts has no account of %s", strconv.Quote(string(ext)))
}

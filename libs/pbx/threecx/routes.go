package threecx

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// routed is what a forwarding profile does with calls (Pbx.ForwardingProfile). Only one of
// its routes counts: which one the kind of profile decides, and that is not told.
type routed struct {
	Name           string
	CustomMessage  string // shown with the status, whoever set it
	AvailableRoute *struct {
		NoAnswerInternal, NoAnswerExternal *destination
	}
	AwayRoute *struct {
		Internal, External *destination
	}
	// OfficeHoursAutoQueueLogOut: whoever has the profile is logged out of queues. The
	// vendor describes it by its name alone.
	OfficeHoursAutoQueueLogOut bool
}

// destination is where a call goes (Pbx.Destination).
type destination struct{ To, Number string }

// longestText is how many characters are repeated of a text that anybody may have written.
const longestText = 100

const routeFields = "Name,CustomMessage,AvailableRoute,AwayRoute,OfficeHoursAutoQueueLogOut"

// Routes tells in words where the calls of an extension go under each status, whether it
// leaves its queues, and which text is shown with the status, if one is. It is for people who
// check an installation (`offhook doctor`) and is no power of phone systems; each extension has
// profiles of its own. Two requests.
func (d *Driver) Routes(ctx context.Context, ext identity.Extension) (map[presence.Status]string, error) {
	const op = "threecx: routes"
	u, err := d.lookUp(ctx, op, ext, statusFields)
	if err != nil {
		return nil, err
	}
	var found struct{ Value []routed }
	if err := d.wire.get(ctx, op, userPath(u.ID)+"/ForwardingProfiles", url.Values{"$select": {routeFields}}, &found); err != nil {
		return nil, err
	}
	words := make(map[presence.Status]string)
	for _, p := range found.Value {
		if status := d.profiles.status(p.Name); status != presence.Unset {
			words[status] = p.words(d.profiles.powers().Ring.Has(status))
		}
	}
	return words, nil
}

// words says what the profile does. rings is whether its kind rings the phone, where both
// routes are there or none is.
func (p routed) words(rings bool) string {
	if (p.AvailableRoute == nil) != (p.AwayRoute == nil) {
		rings = p.AvailableRoute != nil
	}
	var text string
	switch {
	case rings && p.AvailableRoute == nil:
		text = "the phone rings"
	case rings:
		text = "the phone rings, then " + both(p.AvailableRoute.NoAnswerInternal, p.AvailableRoute.NoAnswerExternal)
	case p.AwayRoute == nil:
		text = "where calls go is not told"
	default:
		text = both(p.AwayRoute.Internal, p.AwayRoute.External)
	}
	if p.OfficeHoursAutoQueueLogOut {
		text += "; queues are left"
	} else {
		text += "; queues are kept"
	}
	if message := printable(p.CustomMessage, longestText); message != "" {
		text += "; its text is " + strconv.Quote(message)
	}
	return text
}

func both(internal, external *destination) string {
	if inside, outside := internal.words(), external.words(); inside != outside {
		return inside + " (from outside: " + outside + ")"
	}
	return internal.words()
}

// words names the kind, and a number inside: a number outside is nobody else's matter.
func (to *destination) words() string {
	switch {
	case to == nil || printable(to.To, 30) == "" || to.To == "None":
		return "the call ends"
	case to.To == "VoiceMail":
		return "voicemail"
	case to.To == "External":
		return "a number outside"
	case to.Number != "":
		return strings.ToLower(printable(to.To, 30)) + " " + printable(to.Number, 30)
	}
	return strings.ToLower(printable(to.To, 30))
}

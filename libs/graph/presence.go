package graph

import (
	"context"
	"fmt"
	"strings"

	"offhook.dev/libs/core/identity"
)

// MaxPresences is how many users one presence request and one presence
// subscription may name.
// https://learn.microsoft.com/graph/api/cloudcommunications-getpresencesbyuserid
const MaxPresences = 650

// Presence is one user's Teams presence as Graph tells it. Availability and
// Activity are open sets whose letter case differs between Graph's answers:
// compare them without regard to case and accept unknown words.
type Presence struct {
	User         identity.User
	Availability string // "Busy"
	Activity     string // "InAMeeting"
	// Sequence orders the readings of one user: the greater string is newer. It
	// is empty in notifications and in clouds whose presence has none.
	Sequence    string
	OutOfOffice bool
}

// PresenceReader reads presences by poll, the path that correctness rests on.
type PresenceReader interface {
	// Presences reads up to MaxPresences distinct users in one request. Users that
	// Graph left out of its answer are missing; which unknown or unlicensed users
	// it leaves out is not documented. More users than the limit, or none, are
	// fault.Invalid without a request.
	Presences(ctx context.Context, users []identity.User) (found []Presence, missing []identity.User, err error)
}

// PresenceResource returns the resource of a subscription to the presences of 1
// to MaxPresences distinct users. The ids are quoted and separated by a comma
// alone.
func PresenceResource(users []identity.User) (string, error) {
	if len(users) == 0 || len(users) > MaxPresences {
		return "", fmt.Errorf("a presence subscription names 1 to %d users, not %d", MaxPresences, len(users))
	}
	var b strings.Builder
	b.WriteString("communications/presences?$filter=id in (")
	seen := make(map[identity.User]bool, len(users))
	for i, user := range users {
		// Parsed again because a quote in an id would change the filter's meaning.
		if _, err := identity.ParseUser(string(user)); err != nil {
			return "", err
		}
		if seen[user] {
			return "", fmt.Errorf("user %s is named twice", user)
		}
		seen[user] = true
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("'" + string(user) + "'")
	}
	b.WriteByte(')')
	return b.String(), nil
}

package graph

import (
	"context"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
)

// Bounds of a presence session's life. Graph refuses others.
// https://learn.microsoft.com/graph/api/presence-setpresence
const (
	MinSessionLife = 5 * time.Minute
	MaxSessionLife = 4 * time.Hour
)

// SessionPresence is what an application's presence session can show, as
// "availability/activity".
type SessionPresence string

// All that a session can show. Graph ignores or refuses every other pair.
// https://learn.microsoft.com/graph/cloud-communications-manage-presence-state
const (
	SessionAvailable         SessionPresence = "Available/Available"
	SessionInACall           SessionPresence = "Busy/InACall"
	SessionInAConferenceCall SessionPresence = "Busy/InAConferenceCall"
	SessionAway              SessionPresence = "Away/Away"
	SessionPresenting        SessionPresence = "DoNotDisturb/Presenting"
)

// Pair returns the two words of Graph; ok is false for what a session cannot show.
func (p SessionPresence) Pair() (availability, activity string, ok bool) {
	return pair(string(p), string(SessionAvailable), string(SessionInACall), string(SessionInAConferenceCall),
		string(SessionAway), string(SessionPresenting))
}

// PreferredPresence is what a person can be pinned to, as "availability/activity".
// It shows above every session, meetings included.
type PreferredPresence string

// All that a person can be pinned to.
// https://learn.microsoft.com/graph/api/presence-setuserpreferredpresence
const (
	PreferAvailable    PreferredPresence = "Available/Available"
	PreferBusy         PreferredPresence = "Busy/Busy"
	PreferDoNotDisturb PreferredPresence = "DoNotDisturb/DoNotDisturb"
	PreferBeRightBack  PreferredPresence = "BeRightBack/BeRightBack"
	PreferAway         PreferredPresence = "Away/Away"
	PreferOffWork      PreferredPresence = "Offline/OffWork"
)

// Pair returns the two words of Graph; ok is false for what nobody can be pinned
// to.
func (p PreferredPresence) Pair() (availability, activity string, ok bool) {
	return pair(string(p), string(PreferAvailable), string(PreferBusy), string(PreferDoNotDisturb),
		string(PreferBeRightBack), string(PreferAway), string(PreferOffWork))
}

func pair(value string, allowed ...string) (availability, activity string, ok bool) {
	if !slices.Contains(allowed, value) {
		return "", "", false
	}
	return strings.Cut(value, "/")
}

// PresenceWriter shows something in Teams. Each verb may be repeated; a pair or a
// life that Graph would refuse is fault.Invalid without a request.
type PresenceWriter interface {
	// SetPresence makes the session of the application (its id, a GUID) show
	// something for a life of MinSessionLife to MaxSessionLife, in whole seconds;
	// repeating it renews it. An available session ages to away after ten minutes,
	// whatever its life.
	SetPresence(ctx context.Context, user identity.User, session string, show SessionPresence, life time.Duration) error
	// ClearPresence ends the session. One that is not there is no error.
	ClearPresence(ctx context.Context, user identity.User, session string) error
	// SetPreferredPresence pins a person for a life of at least a second. It shows
	// only while the person has a session, of Teams or of an application.
	SetPreferredPresence(ctx context.Context, user identity.User, show PreferredPresence, life time.Duration) error
	// ClearPreferredPresence ends what pins a person, whoever set it: Graph does not
	// tell ours from theirs.
	ClearPreferredPresence(ctx context.Context, user identity.User) error
}

package api

import (
	"cmp"
	"strings"
	"time"
)

// Status is one linked extension: what it shows, what it should show, and why.
// Statuses are the five words of the product, "" where nothing is known yet.
type Status struct {
	Tenant    string `json:"tenant"`
	User      string `json:"user"` // object id
	UPN       string `json:"upn"`
	Name      string `json:"name"`
	System    string `json:"system"`
	Extension string `json:"extension"`
	Shown     string `json:"shown"`
	Wanted    string `json:"wanted"`
	Reason    string `json:"reason"`
	// Since is when the decision that is in force was made, or null.
	Since  *time.Time `json:"since"`
	Claims []Claim    `json:"claims"` // the one that shows first
	// Teams is the last presence read, or null.
	Teams *Teams `json:"teams"`
	// ToTeams is what Offhook makes Teams show of the user's calls and choices, or null.
	ToTeams *ToTeams `json:"to_teams"`
	// Lane names the subscription that makes changes of this user arrive early; ""
	// when only sweeps do.
	Lane string `json:"lane"`
	// AgeMS is the time since Shown was learned, in milliseconds.
	AgeMS int64 `json:"age_ms"`
}

// Claim is one source's hold on a user's status.
type Claim struct {
	Source string     `json:"source"` // "manual", "teams", "calendar", "base"
	Status string     `json:"status"`
	Until  *time.Time `json:"until"` // null: no end is known
}

// Teams is a presence as Microsoft 365 words it.
type Teams struct {
	Availability string `json:"availability"`
	Activity     string `json:"activity"`
	// AgeMS is the time since Teams was last known to show this: the notification,
	// or the newest sweep that read the user.
	AgeMS int64 `json:"age_ms"`
}

// String is "Busy/InAMeeting", or one word where both are the same.
func (t Teams) String() string {
	if t.Activity == "" || t.Activity == t.Availability {
		return t.Availability
	}
	return t.Availability + "/" + t.Activity
}

// ToTeams is what Offhook wants Teams to show for a user, and what came of it. Both
// presences are "availability/activity", "" where nothing of ours is wanted.
type ToTeams struct {
	Session   string `json:"session"`   // stands for a call
	Preferred string `json:"preferred"` // stands for a choice
	// Until is when the last of it ends by itself unless it is renewed, or null.
	Until  *time.Time `json:"until"`
	Result string     `json:"result"` // of the outcome, "" while it is not carried out
	Detail string     `json:"detail"`
}

// String is what Teams shows of it: a call goes before a choice.
func (t ToTeams) String() string {
	availability, activity, _ := strings.Cut(cmp.Or(t.Session, t.Preferred), "/")
	return Teams{Availability: availability, Activity: activity}.String()
}

// The sides on which a Change happens.
const (
	SidePBX  = "pbx"
	SideM365 = "m365"
)

// ResultChosen is the result of a Change that a person made on the phone system.
// The other results are those of outcomes: "applied", "refused-person", ...
const ResultChosen = "chosen"

// Change is one event of a watch: an outcome that changed or refused something, or
// a person's choice on a phone system. One on the side of Microsoft 365 is about the
// user: System, Extension, Shown and Wanted are empty, and ToTeams says what happened.
type Change struct {
	Status
	At     time.Time `json:"at"`
	Side   string    `json:"side"`
	Before string    `json:"before"` // what was shown before, "" if unknown
	Result string    `json:"result"`
	Detail string    `json:"detail"`
	// LatencyMS is the time from the change being seen to the other side's answer.
	LatencyMS float64 `json:"latency_ms"`
	Trace     string  `json:"trace"`
}

// Explanation says why an extension shows what it shows.
type Explanation struct {
	Status
	Sentence string `json:"sentence"`
	Chain    []Step `json:"chain"`
}

// Step is one link of the chain from what was seen to the phone system's answer, and
// from the decision to that of Teams.
// One of Fact, Decision and Outcome is set.
type Step struct {
	Step     string    `json:"step"` // "seen", "decided", "received", "asked", "answered"
	Service  string    `json:"service"`
	At       time.Time `json:"at"`
	MS       float64   `json:"ms"`                 // since the step before that led to it
	Fact     string    `json:"fact,omitempty"`     // its value: "Busy/InAMeeting"
	Decision string    `json:"decision,omitempty"` // its id
	Outcome  string    `json:"outcome,omitempty"`  // its result
	Detail   string    `json:"detail,omitempty"`   // for people
}

package presence_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
)

// loop is a person, a phone and Teams, closed over Decide: what is wanted is written,
// and what was written comes back as a reading, a while later. Teams shows what is
// preferred above its sessions, of those the busier, and Offline without any.
type loop struct {
	now    time.Time
	v      presence.Verdict
	o      presence.Options
	r      *rand.Rand
	decide decider
	due    []arrival

	phone       presence.Status
	origin      presence.Origin
	observation int64
	last        *presence.Choice

	calls   int       // confirmed every three minutes
	confirm time.Time // when next

	client    string // what the person's Teams shows by itself; "": closed
	session   string
	preferred string
	ledger    string             // what the writer believes to be preferred and Offhook's
	told      presence.TeamsWant // the newest want that it has carried out
	shown     string

	writes  map[string]int // per target since the last change of the person
	most    map[string]int // how many a change of its kind may cause
	changed time.Time
	late    string // the first write that came too late
}

type arrival struct {
	at   time.Time
	fact presence.Fact
}

// shows is Graph's precedence.
func (l *loop) shows() string {
	client := l.client
	switch {
	case l.client == "" && l.session == "":
		return "Offline/Offline"
	case l.preferred != "":
		return l.preferred
	case strings.HasPrefix(client, "DoNotDisturb"), l.session == "":
		return client
	}
	return l.session
}

// look lets what changed be read, up to 2 s later, sometimes twice.
func (l *loop) look() {
	if shows := l.shows(); shows != l.shown {
		l.shown = shows
		availability, activity, _ := strings.Cut(shows, "/")
		l.arrive(presence.TeamsReading{Availability: availability, Activity: activity, SeenAt: l.now, Source: presence.Poll})
	}
}

func (l *loop) read() {
	l.arrive(presence.StatusReading{Line: lineOf(0), Status: l.phone, Origin: l.origin, SeenAt: l.now, Observation: l.observation, LastPerson: l.last})
}

func (l *loop) arrive(f presence.Fact) {
	for range 1 + l.r.IntN(2) {
		l.due = append(l.due, arrival{l.now.Add(time.Duration(l.r.IntN(2_000)) * time.Millisecond), f})
	}
}

// step decides on a fact and does what is wanted.
func (l *loop) step(f presence.Fact) {
	l.v = l.decide(l.v.Memory, presence.Sweep{Began: l.now, Ended: l.now, OK: true}, l.o, l.now)
	l.v = l.decide(l.v.Memory, f, l.o, l.now)
	for _, w := range l.v.Wants {
		if w.Status != l.phone && !(l.origin == presence.Person && (w.Released || w.DecidedOn < l.observation)) {
			l.wrote("phone")
			l.observation++
			l.phone, l.origin = w.Status, presence.Ours
			l.read()
		}
	}
	if w := l.v.Teams; w != nil {
		if w.Session != l.session {
			l.wrote("session")
			l.session = w.Session
		}
		switch asked := w.Preferred + w.PreferredUntil.String(); {
		case w.Disowned:
			l.ledger = ""
		case w.Preferred == "" && l.ledger != "":
			l.wrote("preferred")
			l.preferred, l.ledger = "", ""
		case w.Preferred != "" && l.ledger != asked: // too short a time for a refresh
			l.wrote("preferred")
			l.preferred, l.ledger = w.Preferred, asked
		}
		if *w != l.told {
			l.told = *w
			l.arrive(presence.TeamsWritten{Session: w.Session, Preferred: w.Preferred, At: l.now})
		}
	}
	l.look()
}

func (l *loop) wrote(target string) {
	l.now = l.now.Add(50 * time.Millisecond) // a request takes its time
	l.writes[target]++
	// What a mask has hidden comes out at its end.
	if since := l.now.Sub(l.changed); since > 10*time.Second && !(target == "phone" && since < 100*time.Second) && l.late == "" {
		l.late = fmt.Sprintf("%s was written %v after the last change", target, since)
	}
}

// run lets time pass until to: arrivals and wakes in their order.
func (l *loop) run(to time.Time) {
	for {
		next, f, at := to, presence.Fact(nil), -1
		for i, d := range l.due {
			if d.at.Before(next) {
				next, f, at = d.at, d.fact, i
			}
		}
		if wake := l.v.Wake; !wake.IsZero() && wake.Before(next) {
			next, f, at = wake, presence.Tick{}, -1
		}
		if l.calls > 0 && l.confirm.Before(next) {
			l.now = l.confirm
			l.confirm = l.now.Add(3 * time.Minute)
			l.step(presence.CallReading{Line: lineOf(0), Calls: l.calls, SeenAt: l.now})
			continue
		}
		if f == nil {
			l.now = to
			return
		}
		if at >= 0 {
			l.due = append(l.due[:at], l.due[at+1:]...)
		}
		if next.After(l.now) {
			l.now = next
		}
		l.step(f)
	}
}

// change is something that the person does.
func (l *loop) change() string {
	l.changed, l.writes, l.most = l.now, map[string]int{}, map[string]int{"phone": 1, "session": 1, "preferred": 1}
	switch l.r.IntN(4) {
	case 0:
		l.observation++
		l.phone, l.origin = one(l.r, presence.Available, presence.Available, presence.DND, presence.Away, presence.Lunch), presence.Person
		l.last = &presence.Choice{Status: l.phone, Observation: l.observation, At: l.now}
		l.read()
		return "chose " + l.phone.String()
	case 1:
		l.most["preferred"] = 0
		before := l.calls
		l.calls, l.confirm = l.r.IntN(2), l.now.Add(3*time.Minute)
		// A session lets what is preferred show, or that it is not there any more: whoever
		// took back ours while Teams showed the same by itself is noticed only now, and the
		// choice on the phone behind it ends.
		if l.calls >= before && l.preferred == "" && l.ledger == "" {
			l.most["phone"] = 0 // a call is no reason for dnd on the phone
		}
		l.arrive(presence.CallReading{Line: lineOf(0), Calls: l.calls, Since: l.now, SeenAt: l.now})
		return fmt.Sprint(l.calls, " calls")
	case 2:
		l.most["session"], l.most["preferred"] = 0, 0
		l.client = one(l.r, "Available/Available", "Busy/InAMeeting", "Away/Away", "DoNotDisturb/Presenting", "")
		l.look()
		return "Teams " + l.client
	default:
		l.most["session"], l.most["preferred"] = 0, 0 // nothing is fought for
		l.preferred = one(l.r, "", "Available/Available", "Busy/Busy", "Away/Away")
		l.look()
		return "prefers " + l.preferred
	}
}

// play runs a random history of a closed loop and returns what went wrong, or "".
func play(r *rand.Rand, decide decider) string {
	o := presence.DefaultOptions()
	o.Mode = one(r, presence.Both, presence.Both, presence.PBXToTeams)
	l := &loop{now: at(60), o: o, r: r, decide: decide, client: "Available/Available", phone: presence.Available, origin: presence.Person, observation: 1, writes: map[string]int{}, changed: at(60)}
	l.step(presence.LinksChanged{Revision: 1, Links: []presence.Link{{Line: lineOf(0), Revision: 1, Powers: systems[0]}}})
	l.step(presence.CalendarReading{SeenAt: l.now, Problem: true})
	l.read()
	l.look()
	l.run(l.now.Add(10 * time.Minute))
	var did []string
	for range 12 {
		did = append(did, l.change())
		l.run(l.now.Add(100*time.Second + time.Duration(l.r.IntN(200))*time.Second))
		for target, n := range l.writes {
			if n > l.most[target] {
				return fmt.Sprintf("%d writes to %s after one change: %v", n, target, did)
			}
		}
	}
	if l.late != "" {
		return fmt.Sprintf("%s: %v", l.late, did)
	}
	return ""
}

func TestAClosedLoopOfBothSidesFallsSilent(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for n := range histories(t) {
		if wrong := play(r, presence.Decide); wrong != "" {
			t.Fatalf("history %d: %s", n, wrong)
		}
	}
}

// The loop is noisy without what keeps it silent.
func TestAClosedLoopWithoutItsGuardsIsFoundOut(t *testing.T) {
	for name, forget := range map[string]func(*presence.Memory){
		"the mask":                         func(m *presence.Memory) { m.OwnTeams = nil },
		"that a choice was preferred once": func(m *presence.Memory) { m.Pinned = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 500 {
				if play(r, func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
					forget(&m)
					return presence.Decide(m, f, o, now)
				}) != "" {
					return
				}
			}
			t.Error("500 histories did not find it")
		})
	}
}

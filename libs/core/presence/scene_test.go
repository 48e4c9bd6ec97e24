package presence_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestScenes plays testdata/scenes.txt. A scene is a day: lines of a time and
// what happens then. Under each stands what follows, beginning with ">", which
// -update writes; "shows" lines are claims that -update does not touch.
//
// Between the lines time passes as Wake says, Teams is read unless "blind" or
// "denied", a writer applies the wants as docs/design.md, invariant 4 has it, and what
// it wrote comes back as a reading of origin ours. Teams' writer carries wants out at once
// unless Graph "refuses"; what Teams makes of them is told by the scene. A person of whose calendar a scene says nothing has none.
func TestScenes(t *testing.T) {
	const file = "testdata/scenes.txt"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var played bytes.Buffer
	head, scenes, _ := strings.Cut(string(golden), "\n== ")
	played.WriteString(head)
	for scene := range strings.SplitSeq(scenes, "\n== ") {
		name, body, _ := strings.Cut(scene, "\n")
		fmt.Fprintf(&played, "\n== %s\n", name)
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, out: &played, o: presence.DefaultOptions(), phones: map[identity.Line]*phone{}, mailbox: strings.Contains(body, " calendar ")}
			for line := range strings.Lines(body) {
				if strings.HasPrefix(line, ">") {
					continue
				}
				played.WriteString(line)
				if fields := strings.Fields(line); len(fields) > 1 && fields[0] != "#" {
					w.play(fields)
				}
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, played.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(played.Bytes(), golden) {
		t.Errorf("%s differs from what happens now; run with -update and look at the difference:\n%s", file, played.String())
	}
}

// world is a person, the phones and the writer.
type world struct {
	t        *testing.T
	out      *bytes.Buffer
	now      time.Time
	o        presence.Options
	v        presence.Verdict
	said     string
	phones   map[identity.Line]*phone
	links    []presence.Link
	revision uint64
	blind    bool
	denied   bool
	stopped  bool // Offhook is not running
	mailbox  bool // the scene tells of a calendar
	refuses  bool // Graph refuses to write
	writes   int
}

// phone is what a phone system and the writer's ledger hold for a line.
type phone struct {
	shows       presence.Status
	origin      presence.Origin
	observation int64
	last        *presence.Choice
	unread      bool // a person chose what shows while Offhook was stopped
}

// play does one line of a scene.
func (w *world) play(f []string) {
	w.passUntil(w.time(f[0]))
	switch word, args := f[1], f[2:]; word {
	case "teams":
		availability, activity, _ := strings.Cut(args[0], "/")
		reading := presence.TeamsReading{Availability: availability, Activity: activity, SeenAt: w.now, Source: presence.Poll}
		for _, arg := range args[1:] {
			if ago, ok := strings.CutPrefix(arg, "ago="); ok {
				reading.SeenAt = w.now.Add(-w.duration(ago))
			} else if reading.Sequence, ok = strings.CutPrefix(arg, "seq="); !ok {
				reading.Source = presence.Source(arg)
			}
		}
		w.decide(reading)
	case "blind":
		w.blind = true
	case "seeing":
		w.blind, w.denied = false, false
		w.decide(presence.Tick{})
	case "denied":
		w.denied = true
		w.decide(presence.Tick{})
	case "calendar":
		w.calendar(args)
	case "calls":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.decide(presence.CallReading{Line: line(args[0]), Calls: n, Since: w.now, SeenAt: w.now})
	case "refuses":
		w.refuses = true
	case "answers":
		w.refuses = false
		w.written()
	case "stops":
		w.stopped = true
	case "starts":
		w.stopped = false
		w.decide(presence.Tick{})
	case "wants":
		if got := w.teams(); got != strings.Join(args, " ") {
			w.t.Errorf("at %s in Teams is wanted %q, not %q", f[0], got, strings.Join(args, " "))
		}
	case "link":
		w.link(args)
	case "unlink":
		w.links = slices.DeleteFunc(w.links, func(l presence.Link) bool { return l.Line == line(args[0]) })
		w.revision++
		w.decide(presence.LinksChanged{Revision: w.revision, Links: w.links})
	case "reads":
		w.reads(line(args[0]))
	case "phone":
		w.choose(line(args[0]), status(args[1]))
	case "choose":
		w.order(args)
	case "own":
		w.v.Memory.OwnTeams = append(w.v.Memory.OwnTeams, presence.OwnTeams{Shows: args[0], From: w.time(args[1]), Until: w.time(args[2])})
	case "set":
		if w.set(args); !w.stopped {
			w.decide(presence.Tick{})
		}
	case "passes":
	case "shows":
		if got := w.phones[line(args[0])].shows; got != status(args[1]) {
			w.t.Errorf("at %s %s shows %v, not %s", f[0], args[0], got, args[1])
		}
	default:
		w.t.Fatalf("unknown word %q", word)
	}
}

func (w *world) link(args []string) {
	powers := map[string]presence.Powers{"3cx": systems[0], "portsip": systems[2]}
	for _, arg := range args {
		ext, system, _ := strings.Cut(arg, "=")
		w.revision++
		w.links = append(w.links, presence.Link{Line: line(ext), Revision: w.revision, Powers: powers[system]})
	}
	w.decide(presence.LinksChanged{Revision: w.revision, Links: slices.Clone(w.links)})
	if !w.mailbox {
		w.mailbox = true
		w.decide(presence.CalendarReading{SeenAt: w.now, Problem: true})
	}
}

// calendar reads "busy 10:00-11:00 oof 00:00-+1/00:00" and "problem".
func (w *world) calendar(args []string) {
	reading := presence.CalendarReading{SeenAt: w.now, Problem: args[0] == "problem"}
	for i := 0; i+1 < len(args); i += 2 {
		from, to, _ := strings.Cut(args[i+1], "-")
		reading.Intervals = append(reading.Intervals, calendar.Interval{From: w.time(from), To: w.time(to), Class: calendar.ParseClass(args[i])})
	}
	w.decide(reading)
}

// teams returns what is wanted in Teams.
func (w *world) teams() string {
	want := w.v.Teams
	if want == nil {
		return "nothing"
	}
	var says []string
	say := func(so bool, what string) {
		if so {
			says = append(says, what)
		}
	}
	say(want.Session != "", "session "+want.Session)
	say(want.Preferred != "", "preferred "+want.Preferred)
	say(want.Session == "" && want.Preferred == "", "neither")
	say(want.Disowned, "disowned")
	say(want.Released, "released")
	return strings.Join(says, " ")
}

func (w *world) order(args []string) {
	c := presence.Chosen{Status: status(strings.TrimSuffix(args[1], "nothing")), At: w.now, By: "anna"}
	if args[0] != "all" {
		c.Line = line(args[0])
	}
	if len(args) == 4 {
		c.Until = w.time(args[3])
	}
	w.decide(c)
}

// choose is a person's hand on the phone, seen at once unless Offhook is stopped.
func (w *world) choose(l identity.Line, s presence.Status) {
	p := w.phones[l]
	if p == nil {
		p = &phone{}
		w.phones[l] = p
	}
	if p.shows, p.unread = s, true; !w.stopped {
		w.reads(l)
	}
}

// reads is the writer's look at a line, which finds what a person chose since the last.
func (w *world) reads(l identity.Line) {
	if p := w.phones[l]; p.unread {
		p.observation++
		p.unread, p.origin, p.last = false, presence.Person, &presence.Choice{Status: p.shows, Observation: p.observation, At: w.now}
	}
	w.read(l)
}

func (w *world) read(l identity.Line) {
	p := w.phones[l]
	w.decide(presence.StatusReading{Line: l, Status: p.shows, Origin: p.origin, SeenAt: w.now, Observation: p.observation, LastPerson: p.last})
}

// passUntil lets time pass up to, and not including, to.
func (w *world) passUntil(to time.Time) {
	for wake := w.v.Wake; !w.stopped && !wake.IsZero() && wake.Before(to); wake = w.v.Wake {
		if wake.Before(w.now) {
			w.t.Fatalf("Wake %v is before %v", wake, w.now)
		}
		w.now = wake
		w.decide(presence.Tick{})
	}
	w.now = to
}

// decide does the mapper's duty and then the writer's, and notes what is new.
func (w *world) decide(f presence.Fact) {
	if !w.blind {
		w.v = presence.Decide(w.v.Memory, presence.Sweep{Began: w.now, Ended: w.now, OK: !w.denied, Denied: w.denied}, w.o, w.now)
	}
	w.v = presence.Decide(stored(w.t, w.v.Memory), f, w.o, w.now)
	var says []string
	for _, want := range w.v.Wants {
		s := fmt.Sprintf("%s %v: %v", want.Line.Extension, want.Status, want.Reason)
		if want.ProjectedFrom != presence.Unset {
			s += fmt.Sprintf(", projected from %v", want.ProjectedFrom)
		}
		says = append(says, s)
	}
	if len(says) == 0 {
		says = []string{"nothing: " + w.v.Reason.String()}
	}
	if w.v.Teams != nil {
		says = append(says, fmt.Sprintf("teams %s: %v", w.teams(), w.v.Teams.Reason))
	}
	if said := strings.Join(says, "; "); said != w.said {
		w.said = said
		fmt.Fprintf(w.out, "> %s %s\n", w.now.Format("15:04:05"), said)
	}
	for _, want := range w.v.Wants {
		w.write(want)
	}
	w.written()
}

// written is the word of Teams' writer, unless Graph refuses.
func (w *world) written() {
	if want := w.v.Teams; want != nil && !w.refuses {
		w.v = presence.Decide(w.v.Memory, presence.TeamsWritten{Session: want.Session, Preferred: want.Preferred, At: w.now}, w.o, w.now)
	}
}

// write applies a want as the writer may, who looks before that.
func (w *world) write(want presence.Want) {
	p := w.phones[want.Line]
	foreign := p != nil && p.origin == presence.Person
	switch {
	case p == nil || p.unread || p.shows == want.Status || foreign && (want.Released || want.DecidedOn < p.last.Observation):
		return
	}
	p.observation++
	p.shows, p.origin = want.Status, presence.Ours
	w.writes++
	w.read(want.Line)
}

func (w *world) set(args []string) {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "mode":
			w.o.Mode = presence.Mode(value)
		case "policy":
			w.o.Manual.Policy = presence.Policy(value)
		case "scope":
			w.o.Manual.Scope = presence.Scope(value)
		case "zone":
			zone, err := time.LoadLocation(value)
			if err != nil {
				w.t.Fatal(err)
			}
			w.o.Manual.Zone = zone
		case "combine":
			w.o.Combine = presence.Combine(value)
		case "pause":
			w.o.PausedUntil = w.time(value)
		case "absent":
			w.o.TeamsAbsent = value == "yes"
		case "base":
			w.o.Base = status(value)
		case "away":
			w.o.Teams = mapped(w.o.Teams, "Away", strings.ReplaceAll(value, "_", " "))
		default:
			w.t.Fatalf("unknown option %q", key)
		}
	}
}

// time reads "10:00", "10:00:05" and, for a later day, "+1/04:00".
func (w *world) time(s string) time.Time {
	day := 0
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		n, clock, _ := strings.Cut(rest, "/")
		day, s = int(n[0]-'0'), clock
	}
	if len(s) == len("10:00") {
		s += ":00"
	}
	clock, err := time.Parse("15:04:05", s)
	if err != nil {
		w.t.Fatal(err)
	}
	return time.Date(2026, 3, 2+day, clock.Hour(), clock.Minute(), clock.Second(), 0, time.UTC)
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func line(ext string) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension(ext)}
}

// stored returns the memory as it comes back from the store.
func stored(t testing.TB, m presence.Memory) presence.Memory {
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back presence.Memory
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

package presence_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// after returns the verdict after facts, each at its own time, and then at now.
func after(o presence.Options, now time.Time, facts ...presence.Fact) presence.Verdict {
	v := linked(o)
	for _, f := range facts {
		v = presence.Decide(v.Memory, f, o, now)
	}
	return v
}

func TestAWantCarriesTheLinkTheObservationAndSinceWhen(t *testing.T) {
	o := presence.DefaultOptions()
	v := after(o, at(1), teams("Busy", at(1)))
	v = presence.Decide(v.Memory, phoneShows(presence.DND, presence.Ours, 2, at(2)), o, at(2))
	want := presence.Want{Line: lineOf(0), LinkRevision: 7, Status: presence.DND, DecidedOn: 1, Reason: presence.ByTeams, Since: at(1)}
	if !slices.Equal(v.Wants, []presence.Want{want}) {
		t.Errorf("wants %+v\n not %+v", v.Wants, want)
	}
	v = presence.Decide(v.Memory, phoneShows(presence.Away, presence.Person, 3, at(3)), o, at(3))
	want = presence.Want{Line: lineOf(0), LinkRevision: 7, Status: presence.Away, DecidedOn: 3, Reason: presence.ByPerson, Since: at(3)}
	if !slices.Equal(v.Wants, []presence.Want{want}) {
		t.Errorf("wants %+v\n not %+v", v.Wants, want)
	}
}

func TestAChoiceThatWasConflatedAwayStillCounts(t *testing.T) {
	o := presence.DefaultOptions()
	reading := phoneShows(presence.DND, presence.Ours, 4, at(5))
	reading.LastPerson = &presence.Choice{Status: presence.Away, Observation: 3, At: at(4)}
	v := after(o, at(5), teams("Busy", at(1)), reading)
	if wanted(v, lineOf(0)) != "away" || v.Wants[0].DecidedOn != 3 {
		t.Errorf("wants %+v, not the away of observation 3", v.Wants)
	}
}

func TestAChoiceOlderThanTheLinkIsNoClaimUnlessItStillShows(t *testing.T) {
	o := presence.DefaultOptions()
	old := &presence.Choice{Status: presence.Away, Observation: 3, At: at(-3000)} // days before: its 04:00 is over
	for name, test := range map[string]struct {
		shows  presence.Status
		origin presence.Origin
		want   string
	}{
		"it shows":                  {presence.Away, presence.Person, "away"},
		"we have written over it":   {presence.DND, presence.Ours, "available"},
		"it came back as a revert":  {presence.Away, presence.Revert, "available"},
		"somebody is available now": {presence.Available, presence.Person, "available"},
	} {
		t.Run(name, func(t *testing.T) {
			v := presence.Decide(presence.Memory{}, presence.LinksChanged{Revision: 1, Links: []presence.Link{{Line: lineOf(0), Powers: systems[0]}}}, o, at(0))
			v = presence.Decide(v.Memory, teams("Available", at(0)), o, at(0))
			reading := phoneShows(test.shows, test.origin, 4, at(0))
			reading.LastPerson = old
			v = presence.Decide(v.Memory, reading, o, at(0))
			if wanted(v, lineOf(0)) != test.want || v.Wants[0].DecidedOn < 3 {
				t.Errorf("wants %+v, not %s", v.Wants, test.want)
			}
		})
	}
}

func TestARevertIsNoChoice(t *testing.T) {
	v := after(presence.DefaultOptions(), at(3), teams("Busy", at(1)), phoneShows(presence.Available, presence.Revert, 3, at(3)))
	if wanted(v, lineOf(0)) != "dnd" || v.Wants[0].DecidedOn != 1 {
		t.Errorf("wants %+v", v.Wants)
	}
}

func TestThePollOfALowerSequenceNeverReplacesTheHigher(t *testing.T) {
	poll := func(availability, sequence string, seen time.Time) presence.Fact {
		return presence.TeamsReading{Availability: availability, Sequence: sequence, SeenAt: seen, Source: presence.Poll}
	}
	sent := presence.TeamsReading{Availability: "Available", SeenAt: at(6), Source: presence.Notification}
	for name, test := range map[string]struct {
		facts []presence.Fact
		want  string
	}{
		"a later answer from an older copy is dropped":    {[]presence.Fact{poll("Busy", "0002", at(4)), poll("Available", "0001", at(5))}, "dnd"},
		"and replaced when it had come first":             {[]presence.Fact{poll("Available", "0001", at(5)), poll("Busy", "0002", at(4))}, "dnd"},
		"polls in order replace each other":               {[]presence.Fact{poll("Available", "0001", at(4)), poll("Busy", "0002", at(5))}, "dnd"},
		"a notification has no sequence: its time counts": {[]presence.Fact{poll("Busy", "0002", at(5)), sent}, "available"},
		"a poll begun before the notification is older":   {[]presence.Fact{sent, poll("Busy", "0003", at(5))}, "available"},
	} {
		t.Run(name, func(t *testing.T) {
			o := presence.DefaultOptions()
			o.Damping = 0
			if v := after(o, at(7), test.facts...); wanted(v, lineOf(0)) != test.want {
				t.Errorf("wants %+v, not %s", v.Wants, test.want)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	o := presence.DefaultOptions()
	v := after(o, at(1), teams("Busy", at(1)), phoneShows(presence.DND, presence.Ours, 2, at(1)))

	stale := presence.Decide(v.Memory, presence.LinksChanged{Revision: 0}, o, at(2))
	if stale.Changed {
		t.Error("an older list of links was not ignored")
	}
	stranger := phoneShows(presence.Away, presence.Person, 1, at(2))
	stranger.Line.Extension = "999"
	if presence.Decide(v.Memory, stranger, o, at(2)).Changed {
		t.Error("a reading of a line of somebody else was remembered")
	}

	gone := presence.Decide(v.Memory, presence.LinksChanged{Revision: 2}, o, at(2))
	released := presence.Want{Line: lineOf(0), LinkRevision: 7, Status: presence.Available, DecidedOn: 1, Reason: presence.Released, Since: at(2), Released: true}
	if !slices.Equal(gone.Wants, []presence.Want{released}) || gone.Reason != presence.NotLinked {
		t.Errorf("unlinked: wants %+v, %v\n not %+v", gone.Wants, gone.Reason, released)
	}
	if later := presence.Decide(gone.Memory, teams("Available", at(3)), o, at(3)); !slices.Equal(later.Wants, gone.Wants) {
		t.Errorf("something more than the release: %+v", later.Wants)
	}
	if later := presence.Decide(gone.Memory, presence.Tick{}, o, at(62)); len(later.Wants) != 0 {
		t.Errorf("the release is still listed after an hour: %+v", later.Wants)
	}

	back := presence.Decide(gone.Memory, presence.LinksChanged{Revision: 3, Links: []presence.Link{{Line: lineOf(0), Revision: 9, Powers: systems[0]}}}, o, at(3))
	if len(back.Wants) != 0 || back.Reason != presence.NotReadYet {
		t.Errorf("linked again and not read: wants %+v, %v", back.Wants, back.Reason)
	}
	back = presence.Decide(back.Memory, phoneShows(presence.Available, presence.Ours, 3, at(4)), o, at(4))
	if wanted(back, lineOf(0)) != "dnd" || back.Wants[0].LinkRevision != 9 {
		t.Errorf("linked again: wants %+v", back.Wants)
	}
}

func TestAReleaseSupersedesAWantThatIsStillUnderWay(t *testing.T) {
	o := presence.DefaultOptions()
	v := after(o, at(1), teams("Busy", at(1))) // the phone still shows a person's available
	o.Mode = presence.Disabled
	v = presence.Decide(v.Memory, presence.Tick{}, o, at(2))
	if len(v.Wants) != 1 || !v.Wants[0].Released || v.Wants[0].Status != presence.Available || v.Reason != presence.ModeDisabled {
		t.Errorf("wants %+v, %v", v.Wants, v.Reason)
	}
	if again := presence.Decide(v.Memory, presence.Tick{}, o, at(3)); again.Changed {
		t.Errorf("released twice: %+v", again.Wants)
	}
}

func TestAModeChangedWhileStoppedIsReleasedAtTheNextStart(t *testing.T) {
	o := presence.DefaultOptions()
	v := after(o, at(1), teams("Busy", at(1)), phoneShows(presence.DND, presence.Ours, 2, at(1)))
	o.Mode = presence.Disabled
	v = presence.Decide(stored(t, v.Memory), presence.Tick{}, o, at(600))
	if len(v.Wants) != 1 || !v.Wants[0].Released || v.Memory.Mode != presence.Disabled {
		t.Errorf("wants %+v under %s", v.Wants, v.Memory.Mode)
	}
}

// Every reason is given by some verdict here, in the words of its test.
func TestReasons(t *testing.T) {
	damped, disabled, observes := presence.DefaultOptions(), presence.DefaultOptions(), presence.DefaultOptions()
	o := presence.DefaultOptions()
	o.Damping = 0
	o.Teams = mapped(o.Teams, "Away", "away after 10m")
	disabled.Mode, observes.Mode = presence.Disabled, presence.PBXToTeams
	echoed := after(o, at(1), teams("Available", at(1)))
	echoed.Memory.OwnTeams = []presence.OwnTeams{{Shows: presence.InACall, From: at(1), Until: at(2)}}

	both, strict, absent, pausing := o, presence.DefaultOptions(), o, o
	both.Mode, strict.Mode, absent.TeamsAbsent, pausing.PausedUntil = presence.Both, presence.Calendar, true, at(90)
	meeting := presence.CalendarReading{SeenAt: at(1), Intervals: []calendar.Interval{{From: at(1), To: at(60), Class: calendar.Busy}}}
	calls := func(n int, seen time.Time) presence.Fact {
		return presence.CallReading{Line: lineOf(0), Calls: n, Since: seen, SeenAt: seen}
	}
	pinned := after(both, at(2), teams("Available", at(1)), phoneShows(presence.DND, presence.Person, 2, at(2)))
	set := presence.Decide(pinned.Memory, presence.TeamsWritten{Preferred: "DoNotDisturb/DoNotDisturb", At: at(2)}, both, at(2))
	shown := presence.Decide(set.Memory, teams("DoNotDisturb", at(3)), both, at(3))
	inTeams := map[presence.Reason]presence.Verdict{
		presence.ByCall:             after(both, at(2), teams("Available", at(1)), calls(1, at(2))),
		presence.AcceptedNotVisible: presence.Decide(pinned.Memory, presence.Tick{}, both, at(4)),
		presence.Disowned:           presence.Decide(shown.Memory, teams("Available", at(4)), both, at(4)),
		presence.NothingToShow:      after(both, at(2), teams("Available", at(1)), calls(1, at(1)), calls(0, at(2))),
	}
	given := map[presence.Reason]presence.Verdict{
		presence.NotLinked:      presence.Decide(presence.Memory{}, teams("Busy", at(0)), o, at(0)),
		presence.NotReadYet:     linked(o),
		presence.ByTeams:        after(o, at(1), teams("Busy", at(1))),
		presence.ByTeamsKept:    after(o, at(3), teams("Busy", at(1)), teams("Unheard", at(2))),
		presence.ByTeamsDelayed: after(o, at(3), teams("Busy", at(1)), teams("Away", at(2))),
		presence.TeamsStale:     after(o, at(16), teams("Busy", at(1))),
		presence.Masked:         presence.Decide(echoed.Memory, teams("Busy", at(2)), o, at(3)),
		presence.ByPerson:       after(o, at(2), teams("Busy", at(1)), phoneShows(presence.Away, presence.Person, 2, at(2))),
		presence.PersonExpired:  after(o, at(9), teams("Busy", at(8)), presence.Chosen{Status: presence.Away, At: at(1), Until: at(9)}),
		presence.ByBase:         after(o, at(2), teams("Offline", at(1))),
		presence.Damped:         after(damped, at(2), teams("Busy", at(1)), teams("Available", at(2))),
		presence.Released:       presence.Decide(after(o, at(1), teams("Busy", at(1))).Memory, presence.LinksChanged{Revision: 2}, o, at(2)),
		presence.ModeDisabled:   after(disabled, at(1), teams("Busy", at(1))),
		presence.ModeObserves:   after(observes, at(1), teams("Busy", at(1))),

		presence.ByCalendar:       after(o, at(2), teams("Offline", at(1)), meeting),
		presence.CalendarFallback: after(absent, at(2), meeting),
		presence.Paused:           after(pausing, at(2), teams("Busy", at(1))),
	}
	given[presence.CalendarStale] = presence.Decide(after(strict, at(2), meeting).Memory, presence.Tick{}, strict, at(2+24*60))
	words, sentences := map[string]bool{}, map[string]bool{}
	for _, reason := range presence.Reasons() {
		v, tested := given[reason]
		got := v.Reason
		if reason == presence.Released {
			got = v.Wants[0].Reason
		}
		if v, ok := inTeams[reason]; ok {
			tested, got = true, v.Teams.Reason
		}
		if !tested || got != reason {
			t.Errorf("%v: tested %v, given %v, wants %+v", reason, tested, got, v.Wants)
		}
		if parsed, err := presence.ParseReason(reason.String()); err != nil || parsed != reason {
			t.Errorf("%v does not parse: %v, %v", reason, parsed, err)
		}
		if words[reason.String()] || reason.Explanation() == "" || sentences[reason.Explanation()] {
			t.Errorf("%v has no word or sentence of its own", reason)
		}
		words[reason.String()], sentences[reason.Explanation()] = true, true
	}
	if _, err := presence.ParseReason("because"); err == nil {
		t.Error("an unknown reason was accepted")
	}
}

func TestClaimsAreListedTheStrongestFirst(t *testing.T) {
	v := after(presence.DefaultOptions(), at(2), teams("Busy", at(1)), phoneShows(presence.Away, presence.Person, 2, at(2)))
	want := []presence.Claim{
		{Source: presence.ManualClaim, Line: lineOf(0), Status: presence.Away, Since: at(2), Until: at(maxAt)},
		{Source: presence.TeamsClaim, Status: presence.DND, Since: at(1), Until: at(16)},
		{Source: presence.BaseClaim, Status: presence.Available},
	}
	if !slices.Equal(v.Claims, want) {
		t.Errorf("claims %+v\n   not %+v", v.Claims, want)
	}
}

func TestAFactFromTheFutureCountsAsSeenNow(t *testing.T) {
	o := presence.DefaultOptions()
	v := after(o, at(1), teams("Busy", at(5000)))
	v = presence.Decide(v.Memory, teams("Away", at(2)), o, at(2))
	if wanted(v, lineOf(0)) != "away" {
		t.Errorf("a reading from the future blocks what comes after: %+v", v.Wants)
	}
}

func TestFactsWithoutATimeAreIgnored(t *testing.T) {
	for _, f := range []presence.Fact{presence.TeamsReading{Availability: "Busy"}, presence.Sweep{OK: true}, presence.Chosen{Status: presence.DND},
		presence.StatusReading{Line: lineOf(0), Status: presence.DND, Origin: presence.Person}} {
		if v := linked(presence.DefaultOptions()); presence.Decide(v.Memory, f, presence.DefaultOptions(), at(1)).Changed {
			t.Errorf("%+v was remembered", f)
		}
	}
}

// long returns the verdict after a choice, and then so many changes that the log
// has let the choice go.
func long(o presence.Options) (v presence.Verdict, choice presence.Fact) {
	choice = phoneShows(presence.Away, presence.Person, 2, at(1))
	v = after(o, at(1), presence.TeamsReading{Availability: "Available", SeenAt: at(1), Source: presence.Poll, Sequence: "0009"}, choice)
	for n := range 6 {
		now := at(2 + n)
		v = presence.Decide(v.Memory, presence.TeamsReading{Availability: []string{"Busy", "Available"}[n%2], SeenAt: now, Source: presence.Notification}, o, now)
	}
	return v, choice
}

func TestWhatTheLogHasLetGo(t *testing.T) {
	o := presence.DefaultOptions()
	v, choice := long(o)
	if wanted(v, lineOf(0)) != "away" {
		t.Errorf("the choice is forgotten: %+v", v.Wants)
	}
	if late := presence.Decide(v.Memory, presence.TeamsReading{Availability: "Busy", SeenAt: at(9), Source: presence.Poll, Sequence: "0008"}, o, at(9)); late.Claims[1].Status == presence.DND {
		t.Errorf("a poll of a lower sequence than one let go replaced what came after: %+v", late.Claims)
	}
	o.Manual.Policy = presence.Ignore
	if ignoring := presence.Decide(v.Memory, presence.Tick{}, o, at(9)); wanted(ignoring, lineOf(0)) != "available" {
		t.Errorf("a claim let go outlives the policy ignore: %+v", ignoring.Wants)
	}
	o = presence.DefaultOptions()
	v = presence.Decide(v.Memory, presence.Chosen{At: at(9)}, o, at(9))
	if v = presence.Decide(v.Memory, choice, o, at(10)); wanted(v, lineOf(0)) != "available" {
		t.Errorf("a repetition of a choice let go brought it back: %+v", v.Wants)
	}
	for n := range 6 { // with the end of the claim let go as well
		v = presence.Decide(v.Memory, teams([]string{"Busy", "Available"}[n%2], at(11+n)), o, at(11+n))
		v = presence.Decide(v.Memory, choice, o, at(11+n))
		if got := wanted(v, lineOf(0)); got == "away" {
			t.Fatalf("a repetition of a choice let go brought it back: %+v", v.Wants)
		}
	}
}

func TestAKeptOpinionSaysWhenItEnds(t *testing.T) {
	v := after(presence.DefaultOptions(), at(2), teams("Busy", at(1)), teams("Unheard", at(2)))
	if until := v.Claims[0].Until; !until.Equal(at(12)) || !v.Wake.Equal(until) {
		t.Errorf("until %v, wake %v, not %v", until, v.Wake, at(12))
	}
}

func TestAFailedSweepRefreshesNothing(t *testing.T) {
	o := presence.DefaultOptions()
	o.Damping = 0
	v := after(o, at(1), teams("Busy", at(1)))
	failed := presence.Decide(v.Memory, presence.Sweep{Began: at(10), Ended: at(10)}, o, at(16))
	good := presence.Decide(v.Memory, presence.Sweep{Began: at(10), Ended: at(10), OK: true}, o, at(16))
	if failed.Reason != presence.TeamsStale || good.Reason != presence.ByTeams {
		t.Errorf("after a failed sweep %v, after a good one %v", failed.Reason, good.Reason)
	}
}

func TestAMemoryStaysSmall(t *testing.T) {
	o := presence.DefaultOptions()
	v := linked(o)
	largest := 0
	for n := range 2_000 { // a storm: a change and a choice every second
		now := at(1).Add(time.Duration(n) * time.Second)
		v = presence.Decide(v.Memory, teams([]string{"Busy", "Available"}[n%2], now), o, now)
		v = presence.Decide(v.Memory, phoneShows(presence.Statuses()[n%5], presence.Person, int64(n+2), now), o, now)
		data, err := json.Marshal(v.Memory)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(data))
	}
	if largest > 8<<10 {
		t.Errorf("a memory of %d bytes", largest)
	}
}

func TestAMemoryOfAnotherVersionIsRead(t *testing.T) {
	const older = `{"links":1,"unheard":{"of":[1]},"lines":[{"line":{"system":"hq","extension":"204"},"linked":true,"revision":7,
		"powers":{"write":62,"read":62,"ring":50},"first":"2026-03-02T03:45:00Z","more":true}],
		"log":[{"kind":1,"at":"2026-03-02T03:46:00Z","availability":"Busy","new":1}],"reads":[{"from":"2026-03-02T03:46:00Z","to":"2026-03-02T03:46:00Z"}]}`
	var m presence.Memory
	if err := json.Unmarshal([]byte(older), &m); err != nil {
		t.Fatal(err)
	}
	if v := presence.Decide(m, presence.Tick{}, presence.DefaultOptions(), at(2)); wanted(v, identity.Line{System: "hq", Extension: "204"}) != "dnd" {
		t.Errorf("wants %+v, %v", v.Wants, v.Reason)
	}
}

// A memory survives the store: what is decided on the copy is what is decided on
// the original, and whatever else is found in the store does no harm.
func FuzzMemoryJSON(f *testing.F) {
	f.Add([]byte(`{}`), int64(0))
	f.Add([]byte(`{"log":[{"kind":9,"at":"2026-03-02T05:00:00+02:00"}],"past":{"lines":[{"line":{"system":"x","extension":"1"},"sources":"dnd"}]}}`), int64(90))
	v := after(presence.DefaultOptions(), at(2), teams("Busy", at(1)), phoneShows(presence.Away, presence.Person, 2, at(2)))
	data, err := json.Marshal(v.Memory)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, int64(3600))
	f.Fuzz(func(t *testing.T, data []byte, seconds int64) {
		var m presence.Memory
		if json.Unmarshal(data, &m) != nil {
			return
		}
		o, now := presence.DefaultOptions(), at(0).Add(time.Duration(seconds%100_000)*time.Second)
		v := presence.Decide(m, teams("Busy", now), o, now)
		once, err := json.Marshal(v.Memory)
		if err != nil {
			return // a year that JSON cannot write, from a store that holds one
		}
		twice, _ := json.Marshal(stored(t, v.Memory))
		if string(once) != string(twice) {
			t.Errorf("%s\nbecomes %s", once, twice)
		}
		if again := presence.Decide(stored(t, v.Memory), teams("Busy", now), o, now); undated(again) != undated(v) {
			t.Errorf("%s\nbecomes %s", undated(v), undated(again))
		}
	})
}

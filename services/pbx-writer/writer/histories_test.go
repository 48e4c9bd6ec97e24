package writer

import (
	"cmp"
	priority "container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
	"offhook.dev/libs/wire"
)

// guards are what keeps both sides right; a history runs without those that are set.
type guards struct{ echo, cleared, fence, sweep, ledger bool }

// history is one person's life with everything that Offhook does about it, in one
// thread and virtual time: the decision and the ledger are the real ones, around them
// is what the services do as far as it matters here. Notifications are lost, doubled,
// late and out of order; mapper and writer die in the middle of their work; two of
// each are at work at the same time.
type history struct {
	r       *rand.Rand
	life    presencetest.Life
	options presence.Options
	without guards
	start   time.Time
	now     time.Time
	queue   queue
	seen    presencetest.Seen

	teams     presencetest.Side
	ends      time.Time // of the session
	pinEnds   time.Time // zero: what is preferred is the person's
	shown     string
	phones    []presence.Status
	calls     []int
	confirmed []int     // numbers the words on each line's calls
	choices   []*choice // on each line the newest, until a reading has told whose it is; or nil

	stored   presence.TeamsReading // the fact of the stream
	sweeping bool                  // the next sweep finds something
	phase    time.Duration         // of the sweeps

	memory   presence.Memory
	revision uint64
	wake     time.Time
	wants    map[identity.Line]wire.Want
	inTeams  presence.TeamsWant
	ours     string // what graph-writer believes to be preferred and Offhook's

	ledger []stock
	facts  []presence.StatusReading
	owner  *owner
	fences uint64
	taking bool // a new owner is about to take over

	log func(string) // tells what happens, or nil
}

// note tells what happens, for whoever looks at one history.
func (h *history) note(format string, args ...any) {
	if h.log != nil {
		h.log(fmt.Sprintf("%9.3f  ", h.since(h.now)) + fmt.Sprintf(format, args...))
	}
}

// choice is what a person has chosen on a phone.
type choice struct {
	event int // its place in the life
	at    time.Time
}

// stock is a ledger entry as the bucket has it.
type stock struct {
	entry
	revision int
}

// happening is something that is due.
type happening struct {
	at time.Time
	n  int // in which order it was planned
	do func()
}

type queue struct {
	all []happening
	n   int
}

func (q *queue) Len() int      { return len(q.all) }
func (q *queue) Swap(i, j int) { q.all[i], q.all[j] = q.all[j], q.all[i] }
func (q *queue) Push(x any)    { q.all = append(q.all, x.(happening)) }
func (q *queue) Less(i, j int) bool {
	return cmp.Or(q.all[i].at.Compare(q.all[j].at), cmp.Compare(q.all[i].n, q.all[j].n)) < 0
}
func (q *queue) Pop() any {
	last := q.all[len(q.all)-1]
	q.all[len(q.all)-1].do = nil
	q.all = q.all[:len(q.all)-1]
	return last
}

func (h *history) at(when time.Time, do func()) {
	h.queue.n++
	priority.Push(&h.queue, happening{when, h.queue.n, do})
}

// soon does something between lo and hi milliseconds later.
func (h *history) soon(lo, hi int, do func()) {
	h.at(h.now.Add(time.Duration(lo)*time.Millisecond+time.Duration(h.r.Int64N(int64(hi-lo)*int64(time.Millisecond)))), do)
}

func (h *history) chance(percent int) bool { return h.r.IntN(100) < percent }

// historyLines are the lines of a history, and what they can do.
func historyLines(r *rand.Rand) (lines []presencetest.Line, powers []presence.Powers) {
	all := presence.Powers{Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch, presence.BusinessTrip)}
	dnd := presence.Powers{Write: presence.SetOf(presence.Available, presence.DND), Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch)}
	words := func(set presence.Set) (words []string) {
		for _, s := range set.Slice() {
			words = append(words, s.String())
		}
		return words
	}
	for range 1 + r.IntN(4)/3 {
		p := all
		if r.IntN(4) == 0 {
			p = dnd
		}
		powers = append(powers, p)
		lines = append(lines, presencetest.Line{FirstStatus: "available", Rings: words(p.Ring), Writes: words(p.Write)})
	}
	return lines, powers
}

func newHistory(r *rand.Rand, events int, without guards) *history {
	modes := []string{"both", "both", "both", "teams-to-pbx", "teams-to-pbx", "calendar", "pbx-to-teams"}
	lines, powers := historyLines(r)
	life := presencetest.RandomLife(r, events, modes[r.IntN(len(modes))], lines...)
	if r.IntN(3) == 0 {
		life.Refuse(r, 4)
	}
	h := &history{r: r, life: life, without: without, seen: presencetest.NewSeen(life), wants: map[identity.Line]wire.Want{},
		phase: time.Duration(r.Int64N(int64(sweepEvery))), shown: "Available/Available", fences: 1}
	h.start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if life.Rules.MaxAt < life.Ticks {
		h.start = time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC).Add(-time.Duration(life.Rules.MaxAt) * presencetest.Tick)
	}
	h.now, h.teams.Client = h.start, h.shown
	h.options = lifeOptions(life.Rules)
	links := presence.LinksChanged{Revision: 1}
	for i := range lines {
		h.phones, h.calls, h.confirmed = append(h.phones, presence.Available), append(h.calls, 0), append(h.confirmed, 0)
		h.choices = append(h.choices, nil)
		h.ledger, h.facts = append(h.ledger, stock{}), append(h.facts, presence.StatusReading{})
		links.Links = append(links.Links, presence.Link{Line: historyLine(i), Revision: 1, Powers: powers[i]})
	}
	h.seen.Missed = make([]bool, len(life.Events))
	h.decide(links)
	reading := presence.CalendarReading{SeenAt: h.start}
	for _, m := range life.Meetings {
		reading.Intervals = append(reading.Intervals, calendar.Interval{From: h.tick(m.From), To: h.tick(m.To), Class: calendar.Class(m.Class)})
	}
	h.decide(reading)
	h.publishReading(h.shown, presence.Poll, h.now)
	h.takeOver()
	return h
}

func lifeOptions(rules presencetest.Rules) presence.Options {
	o := presence.DefaultOptions()
	o.Mode, o.Manual.Policy = presence.Mode(rules.Mode), presence.Policy(rules.Policy)
	if rules.Strongest {
		o.Combine = presence.Strongest
	}
	if rules.WholeUser {
		o.Manual.Scope = presence.OnUser
	}
	return o
}

func historyLine(i int) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension([]string{"204", "205"}[i])}
}

func lineIndex(line identity.Line) int { return int(line.Extension[2] - '4') }

func (h *history) tick(t int) time.Time { return h.start.Add(time.Duration(t) * presencetest.Tick) }

func (h *history) since(t time.Time) float64 {
	return t.Sub(h.start).Seconds() / presencetest.Tick.Seconds()
}

func (h *history) tickNow() int { return int(h.now.Sub(h.start) / presencetest.Tick) }

// run lets the life happen.
func (h *history) run() presencetest.Seen {
	for n, e := range h.life.Events {
		h.at(h.tick(e.At).Add(time.Duration(h.r.IntN(1_000))*time.Millisecond), func() { h.happens(n, e) })
	}
	for t := range h.life.Ticks {
		end := h.tick(t + 1).Add(-time.Millisecond)
		for h.queue.Len() > 0 && !h.queue.all[0].at.After(end) {
			next := priority.Pop(&h.queue).(happening)
			if next.at.After(h.now) {
				h.now = next.at
			}
			next.do()
		}
		h.now = end
		for i, status := range h.phones {
			h.seen.Lines[i][t] = status.String()
		}
		h.seen.Teams[t] = h.teams.Shows()
	}
	return h.seen
}

// happens lets the person do something.
func (h *history) happens(n int, e presencetest.Event) {
	h.note("person: %+v", e)
	switch e.Kind {
	case presencetest.Shows:
		h.teams.Do(e)
		h.lookAtTeams()
	case presencetest.Prefers:
		h.teams.Do(e)
		h.pinEnds = time.Time{}
		h.lookAtTeams()
	case presencetest.Chooses:
		status, _ := presence.ParseStatus(e.Says)
		if h.phones[e.Line] == status {
			h.seen.Skipped[n] = true
			return
		}
		h.missed(e.Line) // by whoever had not looked yet
		h.choices[e.Line] = &choice{n, h.now}
		h.shows(e.Line, status)
	case presencetest.Talks:
		h.calls[e.Line] = e.Calls
		h.watch(e.Line)
	}
}

// missed notes that nobody will ever know of the newest choice on a line.
func (h *history) missed(line int) {
	if c := h.choices[line]; c != nil {
		h.seen.Missed[c.event], h.choices[line] = true, nil
	}
}

// watch lets the writer's watch tell of a line's calls, and confirm them.
func (h *history) watch(line int) {
	h.confirmed[line]++
	word := h.confirmed[line]
	hi := 200
	if h.chance(5) { // the connection was cut
		hi = 4_000
	}
	h.soon(10, hi, func() { h.confirm(line, word) })
}

func (h *history) confirm(line, word int) {
	if word != h.confirmed[line] {
		return
	}
	h.deliver(presence.CallReading{Line: historyLine(line), Calls: h.calls[line], SeenAt: h.now})
	if h.calls[line] > 0 {
		h.at(h.now.Add(4*time.Minute), func() { h.confirm(line, word) })
	}
}

// deliver hands a fact to the mapper, now and then twice.
func (h *history) deliver(f presence.Fact) {
	for range 1 + h.r.IntN(10)/9 {
		h.soon(1, 300, func() { h.decide(f) })
	}
}

// decide is the mapper. Two replicas may be at work: the slower one has decided on a
// memory that is not the newest any more.
func (h *history) decide(f presence.Fact) {
	memory, revision := h.memory, h.revision
	if revision > 3 && h.chance(4) {
		h.soon(20, 3_000, func() { h.decided(f, memory, revision) })
		return
	}
	h.decided(f, memory, revision)
}

func (h *history) decided(f presence.Fact, memory presence.Memory, revision uint64) {
	verdict := h.verdict(f, memory)
	if revision != h.revision && !h.without.fence {
		verdict = h.verdict(f, h.memory) // lost the compare-and-set: again
	}
	stands := verdict.Wake.Equal(h.wake)
	if h.memory, h.wake = verdict.Memory, verdict.Wake; verdict.Changed || !stands {
		h.revision++
		if !stands && !h.wake.IsZero() {
			h.at(h.wake.Add(time.Second-1).Truncate(time.Second), h.wakeUp)
		}
		if h.revision > 3 && h.chance(2) { // it dies before it has told anybody
			h.soon(500, 4_000, func() { h.decide(f) })
			return
		}
	}
	h.tell(f, verdict)
	h.publishWants()
}

// tell notes what was decided, and because of what.
func (h *history) tell(f presence.Fact, v presence.Verdict) {
	if _, tick := f.(presence.Tick); h.log == nil || !v.Changed && tick {
		return
	}
	var words []string
	for _, c := range v.Claims {
		words = append(words, fmt.Sprintf("%s %s", c.Source, c.Status))
	}
	for _, w := range v.Wants {
		words = append(words, fmt.Sprintf("-> %s %s (%s)", w.Line, w.Status, w.Reason))
	}
	if v.Teams != nil {
		words = append(words, fmt.Sprintf("-> Teams %q %q disowned %t", v.Teams.Session, v.Teams.Preferred, v.Teams.Disowned))
	}
	h.note("  decided on %T: %s", f, strings.Join(words, ", "))
}

func (h *history) verdict(f presence.Fact, memory presence.Memory) presence.Verdict {
	changed := false
	if h.without.echo {
		memory.OwnTeams = nil
	}
	if h.without.cleared { // what Teams may show is what is wanted there
		memory.OwnTeams = slices.Clone(memory.OwnTeams)
		for i := range memory.OwnTeams {
			memory.OwnTeams[i].Lasts = time.Time{}
		}
	}
	facts := [3]presence.Fact{presence.Sweep{Began: h.lastSweep(), Ended: h.lastSweep(), OK: true}, f, presence.Tick{}}
	first := 0
	if _, tick := f.(presence.Tick); !tick && (h.wake.IsZero() || h.wake.After(h.now)) {
		first = 1
	}
	var v presence.Verdict
	for _, fact := range facts[first:] {
		v = presence.Decide(memory, fact, h.options, h.now)
		memory, changed = v.Memory, changed || v.Changed
	}
	v.Changed = changed
	return v
}

func (h *history) wakeUp() {
	if !h.wake.IsZero() && !h.wake.After(h.now) {
		h.decide(presence.Tick{})
	}
}

// publishWants makes the stream hold what memory wants.
func (h *history) publishWants() {
	for _, w := range h.memory.Wants() {
		want := wire.Want{Line: w.Line, Status: w.Status, Reason: w.Reason.String(), DecidedOn: w.DecidedOn, LinkRevision: w.LinkRevision,
			Release: w.Released, Revision: wire.Revision{Epoch: 1, Sequence: h.revision}}
		if stored, ok := h.wants[w.Line]; ok && stored.Same(want) {
			continue
		}
		h.wants[w.Line] = want
		h.soon(1, 30, func() { h.owner.want(want) })
	}
	if want, ok := h.memory.TeamsWant(); ok && want != h.inTeams {
		h.inTeams = want
		if tick := h.tickNow(); h.life.RefusedUntil(tick) > tick {
			h.at(h.tick(h.life.RefusedUntil(tick)), h.writeTeams) // Graph refuses
			return
		}
		hi := 300
		if h.chance(3) { // graph-writer dies, and its successor carries the want out
			hi = 4_000
		}
		h.soon(20, hi, h.writeTeams)
	}
}

// seeds are those of many histories from one.
func seeds(seed uint64, n int) []uint64 {
	r := rand.New(rand.NewPCG(seed, 0))
	all := make([]uint64, n)
	for i := range all {
		all[i] = r.Uint64()
	}
	return slices.Clip(all)
}

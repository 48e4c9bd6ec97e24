package contactsync

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// scenario is a mailbox that is read for the first time and then changes in every way.
// step is called between, when something is to be seen through.
func scenario(o *outlook, step func()) {
	o.size = 80
	o.many("contacts", 0, 130, 1)
	o.full()
	step()
	o.many("contacts", 5, 8, 2)
	o.remove("contacts", 10, 11)
	o.many("contacts", 200, 202, 1)
	o.move("contacts", "friends", 20)
	o.delta()
	step()
	o.full()
	step()
}

// The service dies before and after each thing that others can see, and goes on.
func TestItDiesAtEveryStepAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.system(hq, nil)
	deaths := map[string]bool{}
	for at := 1; ; at++ {
		who, line := person(at), lineOf(hq, identity.Extension(strconv.Itoa(1000+at)))
		o := s.mailbox(who, false)
		s.link(who, line)
		var seen int64
		l := s.startDying(func(effect string) bool {
			n := atomic.AddInt64(&seen, 1)
			if n == int64(at) {
				deaths[effect] = true
			}
			return n == int64(at)
		})
		createdBefore, _, deletedBefore := p.written()
		died := false
		scenario(o, func() {
			if !died {
				s.syncedOr(l)
			}
			select {
			case <-l.dead:
				if !died {
					died = true
					l.stop()
					l = s.start()
				}
			default:
			}
			s.synced()
		})
		l.stop()
		// What moves to another folder may be deleted and made again when it dies in between.
		created, _, deleted := p.written()
		created, deleted = created-createdBefore, deleted-deletedBefore
		if created-deleted != 130 || created > 133 {
			t.Errorf("dying at step %d: %d entries were created and %d deleted, want 132 and 2", at, created, deleted)
		}
		if !died {
			break
		}
	}
	for _, effect := range []string{"save", "send", "remove"} {
		if !deaths["before "+effect] || !deaths["after "+effect] {
			t.Errorf("it never died around %s: %v", effect, deaths)
		}
	}
}

// syncedOr waits until everything is synced or the service is dead.
func (s *stage) syncedOr(l *life) {
	s.t.Helper()
	s.eventually(func() string {
		select {
		case <-l.dead:
			return ""
		default:
			return strings.Join(append(s.differences(), s.unfinished()...), "; ")
		}
	})
}

// A writer that does not look first when it is told to makes everything twice: the
// oracle sees it.
func TestAWriterThatDoesNotLookFirstIsFoundOut(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, nil)
	lost := false
	p.set(func(p *phones) {
		p.forgets = true
		p.lose = func(wire.ContactsWant) bool {
			first := !lost
			lost = true
			return first
		}
	})
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 10, 1)
	s.start()
	o.full()
	s.eventually(func() string {
		if found := s.differences(); len(found) == 0 || !strings.Contains(strings.Join(found, ";"), "twice") {
			return fmt.Sprintf("the oracle sees %v", found)
		}
		return ""
	})
}

func TestAnOutcomeThatIsLostIsAskedForAgain(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, nil)
	lost := 0
	p.set(func(p *phones) { p.lose = func(wire.ContactsWant) bool { lost++; return lost%2 == 1 } })
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	s.start()
	scenario(o, s.synced)
	if creates, _, _ := p.written(); creates != 132 {
		t.Errorf("%d entries were created, want 132", creates)
	}
}

func seed(t *testing.T) uint64 {
	if s := os.Getenv("OFFHOOK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("OFFHOOK_SEED=%d", n)
		}
	})
	return n
}

// Mailboxes live, phone systems go away, outcomes are lost, links move and the service
// dies, in any order. In the end every phonebook has what the oracle says.
func TestRandomHistoriesEndAsTheOracleSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(seed(t), 0))
	s := newStage(t)
	s.opts.Tenants[0].Hold = 1
	s.system(hq, nil)
	s.system(branch, nil)
	for id := range s.systems {
		for _, owner := range []identity.Extension{"", "204", "205"} {
			s.systems[id].foreign(bookOf(id, owner), "Grandma")
		}
	}
	h := &history{stage: s, r: r, shared: s.mailbox(person(1), true), own: s.mailbox(person(2), false)}
	h.link()
	h.live()
	for range 60 {
		h.happens()
	}
	// Whatever was lost on the way, and whatever the brake holds, is seen through.
	for _, p := range s.systems {
		p.goAway(false)
		p.set(func(p *phones) { p.lose, p.refuse = nil, nil })
	}
	h.life.stop()
	h.life = s.start()
	h.shared.full()
	h.own.full()
	s.settledAfter()
	s.order("last", wire.SyncNow, func(o *wire.SyncOrder) { o.Force = true })
	s.ended("last", wire.SyncDone)
	h.shared.full()
	h.own.full()
	s.synced()
	for id, p := range s.systems {
		for _, owner := range []identity.Extension{"", "204", "205"} {
			if names := p.strangers(bookOf(id, owner)); !slices.Equal(names, []string{"Grandma"}) {
				t.Errorf("strangers in %s: %v", bookOf(id, owner), names)
			}
		}
	}
}

// history is two mailboxes and what happens to them.
type history struct {
	*stage
	r           *rand.Rand
	shared, own *outlook
	life        *life
}

func (h *history) live() {
	if h.life != nil {
		h.life.stop()
	}
	left := h.r.IntN(40)
	h.life = h.startDying(func(string) bool { left--; return left == 0 })
}

func (h *history) link() {
	all := []identity.Line{lineOf(hq, "204"), lineOf(hq, "205"), lineOf(branch, "204")}
	var lines []identity.Line
	for _, line := range all {
		if h.r.IntN(2) == 0 && !slices.ContainsFunc(lines, func(l identity.Line) bool { return l.System == line.System }) {
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 {
		h.stage.link(person(2), lines...)
	}
}

// happens lets something happen.
func (h *history) happens() {
	o := []*outlook{h.shared, h.own}[h.r.IntN(2)]
	p := h.systems[[]identity.System{hq, branch}[h.r.IntN(2)]]
	folder := []string{"contacts", "friends"}[h.r.IntN(2)]
	switch h.r.IntN(16) {
	case 0, 1, 2:
		from := h.r.IntN(200)
		o.many(folder, from, from+h.r.IntN(120), h.r.IntN(3))
	case 3, 4:
		for range h.r.IntN(6) {
			o.remove(folder, h.r.IntN(200))
		}
	case 5:
		for range h.r.IntN(30) {
			o.move(folder, "old", h.r.IntN(200))
		}
	case 6, 7:
		o.delta()
	case 8:
		o.full()
	case 9: // a reading that is cut off
		o.size = 1 + h.r.IntN(60)
		pages := o.whole()
		o.send(pages[:h.r.IntN(len(pages))]...)
		o.touchAll()
	case 10:
		o.problem("denied")
	case 11:
		p.goAway(h.r.IntN(2) == 0)
	case 12:
		n := h.r.IntN(4)
		p.set(func(p *phones) { p.lose = func(wire.ContactsWant) bool { n--; return n == 0 } })
	case 13:
		h.link()
	case 14:
		subject, _ := wire.ContactsPage{Mailbox: o.who}.Encode()
		_, err := h.bus.Publish(h.t.Context(), bus.Message{Subject: subject, Data: []byte("\xff")})
		h.must(err)
	default:
		h.live()
	}
	if h.r.IntN(3) == 0 {
		<-time.After(time.Duration(h.r.IntN(30)) * time.Millisecond) // some things happen at once, others not
	}
}

// touchAll has the next delta tell everything, as a cursor does that was not saved.
func (o *outlook) touchAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, folder := range o.folders {
		for source := range folder {
			o.touch(name, source)
		}
	}
}

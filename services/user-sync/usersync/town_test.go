package usersync

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// town is a directory and a phone system, and all that is asked for between them.
type town struct {
	*stage
	phones *phones
	away   bool // the phone system, while the service is dead
	opts   Options
	order  string // of the chapter, the last one

	mu     sync.Mutex // guards what follows
	wants  map[identity.Extension][]wire.ExtensionWant
	owners map[identity.Extension]map[identity.Person]bool
	closed bool // the phone system answers nothing
}

func newTown(t *testing.T, away bool) *town {
	t.Helper()
	c := &town{stage: newStage(t), away: away, opts: synchronising("sync"), wants: map[identity.Extension][]wire.ExtensionWant{}, owners: map[identity.Extension]map[identity.Person]bool{}}
	c.opts.Quiet = 10 * time.Millisecond
	c.phones = c.stage.phones()
	c.phones.answer = func(wire.ExtensionWant) (wire.ChangeResult, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return "", fault.After(fault.Unavailable, "phones", 5*time.Millisecond, nil)
		}
		return wire.ChangeDone, nil
	}
	c.overhear()
	c.register()
	c.gallery()
	return c
}

// overhear notes each change that is wanted, also one that another replaces.
func (c *town) overhear() {
	c.t.Helper()
	heard, err := c.bus.Conn().Subscribe(topology.Wildcard("pbx.want.extension.<system>.<ext>"), func(m *nats.Msg) {
		w, err := wire.DecodeExtensionWant(m.Data)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wants[w.Line.Extension] = append(c.wants[w.Line.Extension], w)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = heard.Unsubscribe() })
}

// register notes whose each number ever was.
func (c *town) register() {
	c.background(func(ctx context.Context) error {
		return c.bucket.Watch(ctx, ">", func(e store.Entry) error {
			who, record, err := storedRecord(e)
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, owned := range record.Owned {
				if c.owners[owned.Line.Extension] == nil {
					c.owners[owned.Line.Extension] = map[identity.Person]bool{}
				}
				c.owners[owned.Line.Extension][who] = true
			}
			return err
		}, func() {})
	})
}

// gallery takes pictures, as pbx-writer does.
func (c *town) gallery() {
	c.background(func(ctx context.Context) error {
		return c.bus.Consume(ctx, bus.Consumer{Stream: topology.Changes, Durable: "gallery", Filters: []string{topology.Wildcard("pbx.want.photo.<system>.<ext>")}},
			func(_ context.Context, m bus.Message) error {
				w, err := wire.DecodePhotoWant(m.Data)
				c.publish(wire.ExtensionOutcome{ID: w.ETag, Person: w.Person, Line: w.Line, Op: directory.SetPhoto, Result: wire.ChangeDone, At: c.bus.Now()})
				return err
			})
	})
}

// background does something until the test ends.
func (c *town) background(do func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && fault.KindOf(err) != fault.Cancelled {
			c.t.Error(err)
		}
	})
}

// lives plays the history. In each chapter the service dies as it may, and is started anew.
// It returns at what it died.
func (c *town) lives(next func() death) (deaths []string) {
	c.t.Helper()
	defer func() {
		if c.t.Failed() {
			c.t.Logf("it died %v", deaths)
		}
	}()
	var l *life
	for _, now := range history {
		if l != nil {
			l.end()
		}
		c.begin(now)
		l = c.live(next())
		c.until(now, l)
		if died := l.spared(); died != "" {
			deaths = append(deaths, died)
			l.end()
			l = c.revive()
			c.until(now, l)
		}
	}
	c.nothingToDo()
	l.end()
	c.once()
	return deaths
}

// begin lets happen what a chapter begins with.
func (c *town) begin(now chapter) {
	if now.change != nil {
		rules := c.opts.Rules["contoso"]
		now.change(&rules)
		c.opts.Rules = map[identity.Tenant]Rules{"contoso": rules}
	}
	c.order = ""
	now.happens(c)
}

// revive starts the service anew after it died.
func (c *town) revive() *life {
	c.t.Helper()
	l := c.live(never())
	if c.away {
		c.ordered(wire.SyncOrder{ID: newID(), Op: wire.SyncPlan}) // it knows what waits
		c.opens(true)
	}
	return l
}

// opens has the phone system answer, or not.
func (c *town) opens(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = !open
}

// life is the service running.
type life struct {
	end func()

	mu   sync.Mutex // guards what follows
	dies death
	at   string // which effect it died at; "": it lives
}

// died says at which effect it died; "": it lives.
func (l *life) died() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// spared is died, and it does not die any more.
func (l *life) spared() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dies = never()
	return l.at
}

// live runs the service until it dies or its end is called. Nothing that it would do once
// it is dead happens.
func (c *town) live(dies death) *life {
	l := &life{dies: dies}
	opts := c.opts
	opts.effects = func(effect string) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.at == "" && l.dies(effect) {
			l.at = effect
			c.opens(!c.away)
		}
		if l.at != "" {
			// What it has in hand comes again at once, as when a process ends.
			return fault.After(fault.Unavailable, "died "+l.at, time.Millisecond, nil)
		}
		return nil
	}
	l.end = c.stage.live("test", opts)
	return l
}

// until waits until what a chapter leads to is so, or the service is dead.
func (c *town) until(now chapter, l *life) {
	c.t.Helper()
	bustest.Eventually(c.t, 60*time.Second, func() string {
		if l.died() != "" {
			return ""
		}
		over := c.over(now)
		wrong := c.differs(now)
		switch {
		case over && wrong == "":
			return ""
		case over && now.ordered: // it came before what happens was heard of
			c.order = newID()
			c.publish(wire.SyncOrder{ID: c.order, Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncNow})
		}
		return wrong + " after order " + c.order
	})
}

// over says whether the order has ended, if there is one. One that has, and had something
// to do, has done it.
func (c *town) over(now chapter) bool {
	c.t.Helper()
	if c.order == "" {
		return true
	}
	m, err := c.bus.Last(c.t.Context(), topology.Outcomes, wire.SyncOutcomeSubject("contoso", c.order))
	if err != nil {
		return false
	}
	out, err := wire.DecodeSyncOutcome(m.Data)
	if err != nil || !out.State.Ended(wire.SyncNow) {
		return false
	}
	if phones := c.phones.whose(); out.State != wire.SyncDone || out.Total > 0 && phones != now.phones {
		c.t.Errorf("an order has ended as %+v, and the phone system has %q, want %q", out, phones, now.phones)
	}
	return true
}

// differs says what is not as a chapter leads to.
func (c *town) differs(now chapter) string {
	if phones := c.phones.whose(); phones != now.phones {
		return fmt.Sprintf("the phone system has %q, want %q", phones, now.phones)
	}
	if people := c.people(); people != now.people {
		return fmt.Sprintf("stored is %q, want %q", people, now.people)
	}
	if waiting, err := c.bus.Subjects(c.t.Context(), topology.Changes, ">"); err != nil || len(waiting) > 0 {
		return fmt.Sprintf("%v wait, %v", waiting, err)
	}
	return ""
}

// whose is shows with whom each is marked as: "200 Anna 1; 201 Ben 2 off".
func (p *phones) whose() string {
	return p.list(func(e directory.Extension) string {
		if e.Marker == "" {
			return ""
		}
		return " " + short(e.Marker)
	})
}

// short is a user's number.
func short(user identity.User) string { return strings.TrimLeft(string(user), "0-") }

// people is what is stored of everybody.
func (c *town) people() string {
	c.t.Helper()
	people := map[string]string{}
	err := c.bucket.Each(c.t.Context(), ">", func(e store.Entry) error {
		who, record, err := storedRecord(e)
		people[short(who.User)] = told(record)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	var words []string
	for _, who := range slices.Sorted(maps.Keys(people)) {
		words = append(words, who+": "+people[who])
	}
	return strings.Join(words, "; ")
}

func storedRecord(e store.Entry) (who identity.Person, record links.Record, err error) {
	if who, err = wire.ParsePersonKey(e.Key); err == nil && !e.Deleted {
		err = json.Unmarshal(e.Value, &record)
	}
	return who, record, err
}

// told is a record without its times.
func told(record links.Record) string {
	var words []string
	for _, owned := range record.Owned {
		word := string(owned.How) + " " + string(owned.Line.Extension)
		if owned.Photo != "" {
			word += " " + owned.Photo
		}
		if !owned.Left.IsZero() {
			word += " left"
		}
		words = append(words, word)
	}
	for _, line := range record.Lines {
		words = append(words, "linked "+string(line.Extension))
	}
	for _, former := range record.History {
		if slices.ContainsFunc(record.Lines, func(l links.Line) bool { return l.Line == former.Line }) {
			continue // what is back may have been away for too short to be noticed
		}
		words = append(words, "had "+string(former.Extension))
	}
	return strings.Join(words, ", ")
}

// once fails if a number was given twice, or an extension made twice.
func (c *town) once() {
	c.t.Helper()
	made := map[string]int{}
	for _, did := range c.phones.did() {
		made[did]++
	}
	for did, times := range made {
		if times > 1 {
			c.t.Errorf("the phone system did %q %d times", did, times)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, owners := range c.owners {
		if len(owners) > 1 {
			c.t.Errorf("%s was the number of %v", number, slices.Collect(maps.Keys(owners)))
		}
	}
}

// ops is "200 create update; 201 create": what was wanted of each extension, in order.
func (c *town) ops() string {
	return c.wanted(func(w wire.ExtensionWant) string { return string(w.Op) }, " ", "; ")
}

// contents is what was wanted of each extension, in order, without how it is called: an
// adoption or a return that goes on after a death is a change like another.
func (c *town) contents() string {
	return c.wanted(func(w wire.ExtensionWant) string {
		op := w.Op
		if op == wire.OpAdopt || op == wire.OpReturn {
			op = wire.OpUpdate
		}
		return fmt.Sprintf("\n  %s %v of %+v", op, w.Update.Fields, w.Update.To)
	}, "", "\n")
}

func (c *town) wanted(say func(wire.ExtensionWant) string, between, after string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, number := range slices.Sorted(maps.Keys(c.wants)) {
		var words []string
		for _, w := range c.wants[number] {
			words = append(words, say(w))
		}
		all = append(all, string(number)+between+strings.Join(words, between))
	}
	return strings.Join(all, after)
}

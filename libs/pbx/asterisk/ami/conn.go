package ami

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/pbx/internal/reading"
	"offhook.dev/libs/secret"
)

const (
	defaultInFlight = 16
	// stall is how long a write may take: what is in flight fits into any buffer, so
	// one that takes longer is one to a dead machine.
	stall = 2 * time.Second
	// silence is how long nothing may come while somebody waits, in the end in vain.
	silence = 2 * time.Second
	// greetingLimit is how long the first line may be, in bytes.
	greetingLimit = 256
	// listLimit is how many items a list may have.
	listLimit = 500_000
)

// Config of a Conn.
type Config struct {
	Address  string      // host:port
	TLS      *tls.Config // nil: without encryption
	Username string
	Secret   secret.Value
	// Events are the classes of events to be told of, as in "call,reporting"; "": none.
	Events string
	// Hear takes each event that is no part of an answer, in order, called by one
	// goroutine, for which everything else waits. nil: nobody does.
	Hear func(Message)
	// InFlight is how many actions may be without an answer at a time; 0 means 16. More
	// wait for their turn.
	InFlight int
}

// Conn is a session that is signed in. All methods may be called at the same time.
type Conn struct {
	conn    net.Conn
	in      *reader
	version string
	prefix  string // of ActionIDs: nobody else can guess one
	hear    func(Message)
	quiet   time.Duration // how long nothing may come while somebody waits
	duty    *reading.Duty
	slots   chan struct{}  // holds a value for each action that has no answer
	done    chan struct{}  // closed when the connection has ended
	parts   sync.WaitGroup // those that read and write

	buffer []byte // of whoever writes

	mu      sync.Mutex // guards what follows
	queue   []*call    // those to be written
	spare   []*call    // what the queue was before, for its memory
	writing bool       // somebody writes what is in the queue
	calls   map[string]*call
	nextID  uint64
	heard   uint64 // how many messages came
	err     error  // why the connection ended, nil before
}

// call is an action without an answer.
type call struct {
	ctx      context.Context // of whoever asked: it is not written once that has ended
	action   Action
	id       string
	list     bool
	sent     time.Time // zero: not yet
	heard    uint64    // how many messages had come by then
	response Message
	items    []Message
	err      error
	left     *int          // how many that share done have no answer; nil: it shares it with none
	done     chan struct{} // closed when all have one, or never will
}

// Dial connects and signs in.
func Dial(ctx context.Context, config Config) (*Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", config.Address)
	if err != nil {
		return nil, err
	}
	if config.TLS != nil {
		secured := tls.Client(raw, config.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		raw = secured
	}
	c := &Conn{conn: raw, in: newReader(raw), prefix: rand.Text() + "-", hear: config.Hear, quiet: silence, done: make(chan struct{}), calls: make(map[string]*call)}
	if config.InFlight == 0 {
		config.InFlight = defaultInFlight
	}
	c.slots = make(chan struct{}, config.InFlight)
	c.duty = reading.New(raw, c.next, c.busy)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err = c.signIn(config)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return nil, err
	}
	c.parts.Go(c.read)
	return c, nil
}

// Version is what the other side said of itself when it was called: the version of the
// interface, as in "9.0.0".
func (c *Conn) Version() string { return c.version }

// Done is closed when the connection has ended. Err says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil before.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, and with it every call, and waits until Hear is not called
// any more. It must not be called by Hear. Twice is once.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	c.parts.Wait()
}

// Do sends an action and returns its response.
func (c *Conn) Do(ctx context.Context, a Action) (Message, error) {
	answer, err := c.ask(ctx, a, false)
	if err != nil {
		return Message{}, err
	}
	return answer.response, nil
}

// List sends an action that is answered by a list of events, and returns these without
// the one that says that the list is complete.
func (c *Conn) List(ctx context.Context, a Action) ([]Message, error) {
	answer, err := c.ask(ctx, a, true)
	if err != nil {
		return nil, err
	}
	return answer.items, nil
}

// ask sends an action and waits for all of its answer.
func (c *Conn) ask(ctx context.Context, a Action, list bool) (*call, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	waiting := &call{ctx: ctx, action: a, list: list, done: make(chan struct{})}
	if err := c.exchange(ctx, waiting.done, waiting); err != nil {
		return nil, err
	}
	return waiting, c.outcome(ctx, waiting)
}

// enter takes a place among those in flight.
func (c *Conn) enter(ctx context.Context) error {
	if err := late(ctx, time.Now()); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	heard, began := c.messages(), time.Now()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return c.giveUp(ctx, heard, began)
	case <-c.done:
		return &LostError{Err: c.Err()}
	}
}

// exchange sends some that have their places, and waits until done is closed or ctx has
// ended. An error says that none of them was sent.
func (c *Conn) exchange(ctx context.Context, done <-chan struct{}, some ...*call) error {
	write, err := c.register(some)
	if err != nil {
		return err
	}
	if write {
		c.write()
	}
	if err := c.duty.Lead(ctx, done); err != nil {
		c.fail(err)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return nil
}

// outcome is what became of one after an exchange: if it has no answer, ctx has ended.
func (c *Conn) outcome(ctx context.Context, waiting *call) error {
	c.mu.Lock()
	unanswered := c.calls[waiting.id] == waiting
	heard, sent := waiting.heard, waiting.sent
	c.mu.Unlock()
	switch {
	case unanswered:
		return c.giveUp(ctx, heard, sent)
	case waiting.err != nil:
		return waiting.err
	case !strings.EqualFold(waiting.response.Response(), "Success"):
		return &Refusal{Action: waiting.action.Name, Message: waiting.response.Get("Message")}
	}
	return nil
}

// giveUp gives up an action. Its place among those in flight stays taken until the answer
// comes. If nothing at all has come for long, nobody is there.
func (c *Conn) giveUp(ctx context.Context, heard uint64, since time.Time) error {
	if !since.IsZero() && time.Since(since) >= c.quiet && c.messages() == heard {
		c.fail(ErrSilent)
	}
	return ctx.Err()
}

func (c *Conn) messages() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// register gives actions their ids and their places in the queue. write says that whoever
// asked has to write the queue, because nobody does.
func (c *Conn) register(some []*call) (write bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		for range some {
			<-c.slots
		}
		return false, &LostError{Err: c.err}
	}
	for _, waiting := range some {
		c.nextID++
		waiting.id = c.prefix + strconv.FormatUint(c.nextID, 36)
		c.calls[waiting.id] = waiting
	}
	c.queue = append(c.queue, some...)
	write, c.writing = !c.writing, true
	return write, nil
}

// rounds is how often one who writes for others does so before it looks after itself.
const rounds = 4

// write writes what is in the queue: with one call of the system what several have asked
// for at the same time, which those who are about to ask are given the chance to.
func (c *Conn) write() {
	for round := 0; ; round++ {
		if len(c.slots) > 1 {
			runtime.Gosched()
		}
		c.mu.Lock()
		some := c.queue
		c.writing = len(some) > 0
		if len(some) == 0 {
			c.mu.Unlock()
			return
		}
		c.queue, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		c.writeAll(some)
		clear(some)
		c.mu.Lock()
		c.spare = some
		if round == rounds && c.err == nil { // the reader has not ended, so nobody has waited for all parts yet
			c.parts.Go(c.write)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// writeAll writes some actions. The deadline of each is looked at now: a process that was
// stopped and runs on must not do what is late.
func (c *Conn) writeAll(some []*call) {
	c.buffer = c.buffer[:0]
	now := time.Now()
	for _, waiting := range some {
		if err := late(waiting.ctx, now); err != nil {
			c.settle(waiting, err)
			continue
		}
		frame, err := waiting.action.frame(c.buffer, waiting.id)
		if err != nil {
			c.settle(waiting, err)
			continue
		}
		c.buffer = frame
		c.mu.Lock()
		waiting.sent, waiting.heard = now, c.heard
		c.mu.Unlock()
	}
	if len(c.buffer) == 0 {
		return
	}
	_ = c.conn.SetWriteDeadline(now.Add(stall))
	if _, err := c.conn.Write(c.buffer); err != nil {
		c.fail(err) // which ends these calls as well: some of them may have left
	}
}

// late is why nothing may be sent any more for a caller, nil if it may.
func late(ctx context.Context, now time.Time) error {
	if deadline, bounded := ctx.Deadline(); bounded && !now.Before(deadline) {
		return ErrLate
	}
	return ctx.Err()
}

// settle ends an action that was not sent.
func (c *Conn) settle(waiting *call, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[waiting.id] != nil { // the connection has not ended meanwhile
		waiting.err = err
		c.answered(waiting)
	}
}

// answered hands out an answer. mu is held.
func (c *Conn) answered(waiting *call) {
	delete(c.calls, waiting.id)
	<-c.slots
	if waiting.left != nil {
		if *waiting.left--; *waiting.left > 0 {
			return
		}
	}
	close(waiting.done)
}

// read takes what comes until the connection ends.
func (c *Conn) read() {
	if err := c.duty.Stand(c.done); err != nil {
		c.fail(err)
	}
}

// busy says whether more than one answer may come: always where somebody hears events,
// which have to come from one goroutine, at once.
func (c *Conn) busy() bool { return c.hear != nil || len(c.slots) > 0 }

// next takes one message.
func (c *Conn) next() error {
	m, err := c.in.message()
	if err == nil && !c.take(m) && c.hear != nil && m.Event() != "" {
		c.hear(m)
	}
	return err
}

// take says whether a message is part of an answer, and hands out the answer that it
// completes. A response that nobody waits for is no part of any, and nobody's.
func (c *Conn) take(m Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard++
	id := m.Get("ActionID")
	waiting := c.calls[id]
	if waiting == nil {
		return false
	}
	mark := m.Get("EventList")
	switch {
	case m.Event() == "":
		waiting.response = m
		if waiting.list && strings.EqualFold(m.Response(), "Success") && strings.EqualFold(mark, "start") {
			return true
		}
	case !waiting.list || waiting.response.Response() == "":
		return true
	case strings.EqualFold(mark, "Complete"), mark == "" && strings.HasSuffix(m.Event(), "Complete"): // what old versions leave out
	case strings.EqualFold(mark, "cancelled"), len(waiting.items) == listLimit:
		waiting.err = &LostError{Sent: true, Err: errors.New("a list has no end")}
	default:
		waiting.items = append(waiting.items, m)
		return true
	}
	c.answered(waiting)
	return true
}

// fail ends the connection, once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	_ = c.conn.Close()
	for _, waiting := range c.calls {
		waiting.err = &LostError{Sent: true, Err: err}
		c.answered(waiting)
	}
	close(c.done)
}

package ami

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/secret"
)

const (
	defaultInFlight = 16
	// stall is how long a write may take: what is in flight fits into any buffer, so
	// one that takes longer is one to a dead machine.
	stall = 2 * time.Second
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
	slots   chan struct{} // holds a value for each action that has no answer
	done    chan struct{} // closed when the connection has ended
	reading sync.WaitGroup

	writing sync.Mutex // guards writes, and buffer
	buffer  []byte

	mu     sync.Mutex // guards what follows
	calls  map[string]*call
	nextID uint64
	heard  uint64 // how many messages came
	err    error  // why the connection ended, nil before
}

// call is an action without an answer.
type call struct {
	list     bool
	response Message
	items    []Message
	err      error
	done     chan struct{} // closed when there is an answer, or never will be
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
	c := &Conn{conn: raw, in: newReader(raw), prefix: rand.Text() + "-", hear: config.Hear, done: make(chan struct{}), calls: make(map[string]*call)}
	if config.InFlight == 0 {
		config.InFlight = defaultInFlight
	}
	c.slots = make(chan struct{}, config.InFlight)
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
	c.reading.Go(c.read)
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
	c.reading.Wait()
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
	select {
	case c.slots <- struct{}{}:
	default:
		heard := c.messages()
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, c.late(ctx, heard)
		case <-c.done:
			return nil, &LostError{Err: c.Err()}
		}
	}
	waiting := &call{list: list, done: make(chan struct{})}
	id, heard, err := c.register(waiting)
	if err != nil {
		return nil, err
	}
	if err := c.send(ctx, a, id); err != nil {
		return nil, err
	}
	select {
	case <-waiting.done:
	case <-ctx.Done():
		return nil, c.late(ctx, heard)
	}
	if waiting.err != nil {
		return nil, waiting.err
	}
	if !strings.EqualFold(waiting.response.Response(), "Success") {
		return nil, &Refusal{Action: a.Name, Message: waiting.response.Get("Message")}
	}
	return waiting, nil
}

// late gives up an action. Its place among those in flight stays taken until the answer
// comes. If nothing at all has come while there was time, nobody is there.
func (c *Conn) late(ctx context.Context, heard uint64) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && c.messages() == heard {
		c.fail(ErrSilent)
	}
	return ctx.Err()
}

func (c *Conn) messages() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// register gives an action its id.
func (c *Conn) register(waiting *call) (id string, heard uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		<-c.slots
		return "", 0, &LostError{Err: c.err}
	}
	c.nextID++
	id = c.prefix + strconv.FormatUint(c.nextID, 36)
	c.calls[id] = waiting
	return id, c.heard, nil
}

// withdraw takes back an action that was not sent. Another may have been faster: the end
// of the connection.
func (c *Conn) withdraw(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[id] != nil {
		delete(c.calls, id)
		<-c.slots
	}
}

// send writes an action. Its deadline is looked at when it is its turn to be written: a
// process that was stopped and runs on must not do what is late.
func (c *Conn) send(ctx context.Context, a Action, id string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	frame, err := a.frame(c.buffer[:0], id)
	if err != nil {
		c.withdraw(id)
		return err
	}
	c.buffer = frame
	now := time.Now()
	if deadline, bounded := ctx.Deadline(); bounded && !now.Before(deadline) {
		c.withdraw(id)
		return ErrLate
	}
	if err := ctx.Err(); err != nil {
		c.withdraw(id)
		return err
	}
	_ = c.conn.SetWriteDeadline(now.Add(stall))
	if _, err := c.conn.Write(frame); err != nil {
		c.fail(err) // which ends this call as well: part of it may have left
	}
	return nil
}

// read takes what comes until the connection ends.
func (c *Conn) read() {
	for {
		m, err := c.in.message()
		if err != nil {
			c.fail(err)
			return
		}
		if !c.take(m) && c.hear != nil && m.Event() != "" {
			c.hear(m)
		}
	}
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
	delete(c.calls, id)
	<-c.slots
	close(waiting.done)
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
	for id, waiting := range c.calls {
		waiting.err = &LostError{Sent: true, Err: err}
		delete(c.calls, id)
		<-c.slots
		close(waiting.done)
	}
	close(c.done)
}

package esl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/pbx/internal/reading"
	"offhook.dev/libs/secret"
)

// Defaults of Config.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultInFlight = 16
	DefaultPort     = "8021"
)

// Config says where the event socket is.
type Config struct {
	Address  string      // host:port
	TLS      *tls.Config // nil: plain TCP
	User     string      // user@domain of the directory; "": the password is the socket's
	Password secret.Value

	// Timeout bounds the whole beginning, and afterwards the time in which nothing is
	// answered though an answer is due; 0 means 10 s.
	Timeout time.Duration
	// InFlight is how many calls may be under way; 0 means 16.
	InFlight int
	// Events are the names of the events to be told ("CHANNEL_CALLSTATE"). BACKGROUND_JOB
	// is asked for in any case.
	Events []string
	// Hear takes each event but BACKGROUND_JOB, in order, called by one goroutine at a
	// time, for which everything else waits; also by one that waits for an answer (Do), so
	// that it must not need what a caller holds. nil: nobody does.
	Hear func(Event)
}

var (
	// ErrPassword: the password, or user and password, are not accepted.
	ErrPassword = errors.New("the password is not accepted")
	// ErrRejected: the access list of the event socket does not have our address.
	ErrRejected = errors.New("the event socket's access list refuses this address")
	// ErrForbidden: the user may not have these events.
	ErrForbidden = errors.New("the user may not be told these events (esl-allowed-events)")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the connection is closed")
	// ErrLeft: FreeSWITCH ended the connection.
	ErrLeft = errors.New("FreeSWITCH ended the connection")
	// ErrOverdue: an answer is due for longer than Config.Timeout.
	ErrOverdue = errors.New("no answer for too long")
)

// Conn is a connection that has signed in. All methods may be called at the same time.
type Conn struct {
	config Config
	conn   net.Conn
	in     *reader // of whoever has the duty
	duty   *reading.Duty
	slots  chan struct{} // one in it for each call under way
	done   chan struct{} // closed when it is over
	read   chan struct{} // closed when the standing reader has ended

	mu       sync.Mutex // guards the following
	err      error      // why it is over; nil while it is not
	queue    []*call    // calls under way, in order
	out      []byte     // bytes that nobody writes yet
	spare    []byte     // a buffer for the next of them
	flushing bool       // somebody writes, and will write what is in out
	moved    time.Time  // when the queue was begun or an answer came, if there is a queue
	watchdog *time.Timer
	watching bool // the watchdog will look
	jobs     map[string]chan Reply
}

// Dial connects, signs in and asks for events.
func Dial(ctx context.Context, config Config) (*Conn, error) {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.InFlight == 0 {
		config.InFlight = DefaultInFlight
	}
	bounded, cancel := context.WithTimeoutCause(ctx, config.Timeout, ErrOverdue)
	defer cancel()
	raw, err := dial(bounded, config)
	if err != nil {
		return nil, beginning(bounded, err)
	}
	stop := context.AfterFunc(bounded, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c := &Conn{config: config, conn: raw, in: newReader(raw), slots: make(chan struct{}, config.InFlight),
		done: make(chan struct{}), read: make(chan struct{}), jobs: make(map[string]chan Reply)}
	c.duty = reading.New(raw, c.next, c.busy)
	err = c.begin()
	if !stop() && err == nil {
		err = bounded.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, beginning(bounded, err)
	}
	c.watchdog = time.AfterFunc(time.Hour, c.look)
	c.watchdog.Stop() // until there is something to look for
	go c.receive()
	return c, nil
}

// beginning is why a connection did not come about: what ended ctx counts more than what
// it made of the connection.
func beginning(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func dial(ctx context.Context, config Config) (net.Conn, error) {
	if config.TLS == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", config.Address)
	}
	return (&tls.Dialer{Config: config.TLS}).DialContext(ctx, "tcp", config.Address)
}

// begin signs in. Its errors quote nothing that was said about the password.
func (c *Conn) begin() error {
	f, err := c.in.next()
	if err != nil {
		return err
	}
	switch f.kind {
	case typeAuth:
	case typeRejection:
		return ErrRejected
	case typeDisconnect:
		return ErrLeft
	default:
		return fmt.Errorf("%w: it does not ask who we are (is this an event socket?)", ErrSenseless)
	}
	login := "auth " + c.config.Password.Reveal()
	if c.config.User != "" {
		login = "userauth " + c.config.User + ":" + c.config.Password.Reveal()
	}
	if !speakable(login) {
		return fmt.Errorf("%w: a control character in the password or user", ErrUnspeakable)
	}
	reply, err := c.ask(login)
	switch {
	case err != nil:
		return err
	case reply.Refused():
		return ErrPassword
	case !reply.Accepted():
		return fmt.Errorf("%w: neither accepted nor refused", ErrSenseless)
	}
	reply, err = c.ask("event json BACKGROUND_JOB " + strings.Join(c.config.Events, " "))
	switch {
	case err != nil:
		return err
	case reply.Refused():
		return ErrForbidden
	}
	return nil
}

// ask says a line while nobody else does, and reads its reply.
func (c *Conn) ask(line string) (Reply, error) {
	if _, err := c.conn.Write([]byte(line + "\n\n")); err != nil {
		return "", err
	}
	for {
		f, err := c.in.next()
		switch {
		case err != nil:
			return "", err
		case f.kind == typeReply:
			return Reply(f.reply), nil
		case f.kind == typeDisconnect:
			return "", ErrLeft
		case f.kind == typeRejection:
			return "", ErrRejected
		case f.kind != typeJSON: // an event may be faster than the reply
			return "", fmt.Errorf("%w: no reply", ErrSenseless)
		}
	}
}

// Done is closed when the connection is over; Err says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection is over, nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, and returns when nothing of it is left.
func (c *Conn) Close() error {
	c.end(ErrClosed)
	<-c.read
	return nil
}

// end gives the connection up, with the first reason there is.
func (c *Conn) end(why error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = why
		c.watchdog.Stop()
		close(c.done)
	}
	c.mu.Unlock()
	_ = c.conn.Close()
}

// look ends a connection on which an answer is due and nothing has moved for too long. One
// timer for a connection is far cheaper than a deadline for each call.
func (c *Conn) look() {
	c.mu.Lock()
	c.watching = len(c.queue) > 0 && c.err == nil
	left := c.config.Timeout - time.Since(c.moved)
	if c.watching && left > 0 {
		c.watchdog.Reset(left)
	}
	overdue := c.watching && left <= 0
	c.mu.Unlock()
	if overdue {
		c.end(ErrOverdue)
	}
}

package freeswitch

import (
	"context"
	"sync"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// link is the connection for commands, made when there is none, and what was learned on
// it. A connection that breaks is replaced by who needs it next.
type link struct {
	config Config
	turn   chan struct{} // has one in it while somebody connects

	mu     sync.Mutex // guards the following
	conn   *esl.Conn  // nil: none yet
	known  map[identity.Extension]bool
	closed bool
	done   chan struct{} // closed by close
}

func newLink(config Config) *link {
	return &link{config: config, turn: make(chan struct{}, 1), known: make(map[identity.Extension]bool), done: make(chan struct{})}
}

// living is the connection, nil if there is none that lives.
func (l *link) living() (*esl.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case l.conn != nil && l.conn.Err() == nil:
		return l.conn, nil
	}
	return nil, nil
}

// get returns a connection. One caller connects, the others wait for it.
func (l *link) get(ctx context.Context, op string) (*esl.Conn, error) {
	conn, err := l.living()
	if conn != nil || err != nil {
		return conn, unavailable(op, err)
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	if conn, err = l.living(); conn != nil || err != nil {
		return conn, unavailable(op, err)
	}
	return l.connect(ctx, op)
}

func unavailable(op string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, op, err)
}

// connect makes a connection. The turn is the caller's.
func (l *link) connect(ctx context.Context, op string) (*esl.Conn, error) {
	dialing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-l.done:
			cancel(errClosed)
		case <-stop:
		}
	}()
	conn, err := esl.Dial(dialing, l.config.socket())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		if err == nil {
			_ = conn.Close()
		}
		return nil, fault.New(fault.Unavailable, op, errClosed)
	}
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	if l.conn != nil {
		_ = l.conn.Close() // it is over; its reader is waited for
	}
	l.conn, l.known = conn, make(map[identity.Extension]bool)
	return conn, nil
}

// knows says whether an extension is known to exist.
func (l *link) knows(ext identity.Extension) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[ext]
}

// learn notes whether an extension exists.
func (l *link) learn(ext identity.Extension, exists bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if exists {
		l.known[ext] = true
	} else {
		delete(l.known, ext)
	}
}

// learnAll notes that these exist and no others.
func (l *link) learnAll(all []identity.Extension) {
	known := make(map[identity.Extension]bool, len(all))
	for _, ext := range all {
		known[ext] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = known
}

func (l *link) close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.done)
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

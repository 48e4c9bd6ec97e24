package esl

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"offhook.dev/libs/pbx/internal/charset"
)

// LostError is a call without an answer. If it was sent, it may have been done.
type LostError struct {
	Sent bool
	Err  error // what ended it: the context's cause, or why the connection is over
}

// Error says what is known.
func (e *LostError) Error() string {
	if e.Sent {
		return "it was sent, and no answer came: " + e.Err.Error()
	}
	return "it was not sent: " + e.Err.Error()
}

// Unwrap returns what ended it.
func (e *LostError) Unwrap() error { return e.Err }

// call is some commands that were sent together.
type call struct {
	api     []bool // by command: whether an api/response may answer it
	replies []Reply
	done    chan struct{} // closed when there are as many replies as commands

	roomForAPI     [4]bool // most calls are that short
	roomForReplies [4]Reply
}

func newCall(commands []Command) *call {
	c := &call{done: make(chan struct{})}
	c.api, c.replies = c.roomForAPI[:0], c.roomForReplies[:0]
	for _, command := range commands {
		c.api = append(c.api, command.api)
	}
	return c
}

// Do sends commands together and returns their replies, in order. Errors are LostError,
// and ErrUnspeakable, of which nothing was sent. A caller that leaves (ctx) does not
// disturb others: its answers are dropped when they come.
func (c *Conn) Do(ctx context.Context, commands ...Command) ([]Reply, error) {
	for _, command := range commands {
		if command.err != nil {
			return nil, command.err
		}
	}
	mine := newCall(commands)
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &LostError{Err: context.Cause(ctx)}
	case <-c.done:
		return nil, &LostError{Err: c.Err()}
	}
	if err := c.send(mine, commands); err != nil {
		return nil, &LostError{Err: err}
	}
	if err := c.duty.Lead(ctx, mine.done); err != nil {
		c.end(ended(err))
	}
	select {
	case <-mine.done:
		return mine.replies, nil
	case <-ctx.Done():
		return nil, &LostError{Sent: true, Err: context.Cause(ctx)}
	case <-c.done:
	}
	select {
	case <-mine.done: // it was answered before the end
		return mine.replies, nil
	default:
		return nil, &LostError{Sent: true, Err: c.Err()}
	}
}

// send queues a call and writes its commands, or leaves that to who writes already.
func (c *Conn) send(mine *call, commands []Command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		<-c.slots
		return c.err
	}
	if len(c.queue) == 0 {
		c.moved = time.Now()
	}
	if !c.watching {
		c.watching = true
		c.watchdog.Reset(c.config.Timeout)
	}
	c.queue = append(c.queue, mine)
	for _, command := range commands {
		c.out = append(c.out, command.text...)
	}
	if c.flushing {
		return nil
	}
	c.flushing = true
	for len(c.out) > 0 && c.err == nil {
		now := c.out
		c.out = c.spare[:0]
		c.mu.Unlock()
		_, err := c.conn.Write(now)
		if err != nil {
			c.end(ended(err))
		}
		c.mu.Lock()
		c.spare = now
	}
	c.flushing = false
	return nil // an error is that of everybody who waits
}

// Job runs a command of FreeSWITCH's in the background, so that other commands need not
// wait for it, and returns what it has printed.
func (c *Conn) Job(ctx context.Context, line string) (Reply, error) {
	id, result := newID(), make(chan Reply, 1)
	c.mu.Lock()
	c.jobs[id] = result
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.jobs, id)
	}()
	replies, err := c.Do(ctx, newCommand(false, "bgapi "+line, Header{"Job-UUID", id}))
	switch {
	case err != nil:
		return "", err
	case !replies[0].Accepted():
		return replies[0], nil
	}
	select {
	case reply := <-result:
		return reply, nil
	case <-ctx.Done():
		return "", &LostError{Sent: true, Err: context.Cause(ctx)}
	case <-c.done:
		return "", &LostError{Sent: true, Err: c.Err()}
	}
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// receive reads until the connection is over.
func (c *Conn) receive() {
	defer close(c.read)
	if err := c.duty.Stand(c.done); err != nil {
		c.end(ended(err))
	}
}

// busy says whether more may come than the answer to one call: always where there are
// events, which must not wait.
func (c *Conn) busy() bool {
	if len(c.config.Events) > 0 || len(c.slots) > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.jobs) > 0
}

// next takes one frame.
func (c *Conn) next() error {
	f, err := c.in.next()
	if err != nil {
		return err
	}
	return c.accept(f)
}

// ended is why a connection is over, in words.
func ended(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return ErrLeft
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: within a message", ErrLeft)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: %w", ErrLeft, err)
	}
	return err
}

// accept takes a frame.
func (c *Conn) accept(f frame) error {
	switch f.kind {
	case typeReply:
		return c.answer(Reply(charset.UTF8(f.reply)), false)
	case typeAPI:
		return c.answer(Reply(charset.UTF8(string(f.body))), true)
	case typeJSON:
		e, err := ParseEvent(f.body)
		if err != nil {
			return err
		}
		c.hear(e)
	case typeDisconnect:
		return ErrLeft
	case typeRejection:
		return ErrRejected
	}
	return nil // text/event-plain, log/data: others asked for it through us, or newer versions say it
}

// answer gives a reply to the first call that waits for one.
func (c *Conn) answer(reply Reply, api bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return fmt.Errorf("%w: an answer to a question that was never asked", ErrSenseless)
	}
	first := c.queue[0]
	if api && !first.api[len(first.replies)] {
		return fmt.Errorf("%w: an answer that cannot be to this question", ErrSenseless)
	}
	first.replies = append(first.replies, reply)
	if len(first.replies) == len(first.api) {
		copy(c.queue, c.queue[1:]) // at most Config.InFlight of them
		c.queue[len(c.queue)-1] = nil
		c.queue = c.queue[:len(c.queue)-1]
		<-c.slots
		close(first.done)
	}
	if len(c.queue) > 0 {
		c.moved = time.Now()
	}
	return nil
}

// hear takes an event.
func (c *Conn) hear(e Event) {
	if e.Name == "BACKGROUND_JOB" {
		c.finish(e)
	} else if c.config.Hear != nil {
		c.config.Hear(e)
	}
}

// finish gives a job its result. The jobs of others are told as well.
func (c *Conn) finish(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if result := c.jobs[e.Job]; result != nil {
		delete(c.jobs, e.Job)
		result <- Reply(e.Body)
	}
}

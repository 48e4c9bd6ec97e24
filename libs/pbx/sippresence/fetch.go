package sippresence

import (
	"context"
	"errors"
	"mime"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// fetchPatience bounds the wait for a NOTIFY where the caller has no deadline:
// Timer N of RFC 6665 section 4.1.2, 64*T1.
const fetchPatience = 32 * time.Second

var (
	errNoNotify = errors.New("the presence server accepted the SUBSCRIBE and sent no NOTIFY")
	errGarbled  = errors.New("the NOTIFY makes no sense")
	errRejected = errors.New("the account may not watch this extension")
	errNobody   = errors.New("the presence server knows no such extension")
)

// fetch is one SUBSCRIBE that waits for its NOTIFY.
type fetch struct {
	tag    string            // of our From, which the NOTIFY names in its To
	notify chan *sip.Request // holds the first one
}

// shown asks the server what an extension shows.
func (l *line) shown(ctx context.Context, op string, ext identity.Extension) (presence.Status, error) {
	notify, err := l.fetch(ctx, op, Presence, ext)
	if err != nil {
		return presence.Unset, err
	}
	return read(op, notify)
}

// fetch asks the server for the NOTIFY of an event (RFC 6665 section 4.4.3). The Call-ID and
// the tag cannot be guessed, so a NOTIFY that has both is the answer.
func (l *line) fetch(ctx context.Context, op string, event Event, ext identity.Extension) (*sip.Request, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchPatience, errNoNotify)
	defer cancel()
	req, err := l.subscribe(event, ext)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, err)
	}
	tag, _ := req.From().Params.Get("tag")
	f := &fetch{tag: tag, notify: make(chan *sip.Request, 1)}
	id := req.CallID().Value()
	l.mu.Lock()
	l.fetches[id] = f
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.fetches, id)
		l.mu.Unlock()
	}()

	res, err := l.do(ctx, op, req)
	if err != nil {
		return nil, err
	}
	if !res.IsSuccess() {
		return nil, refused(op, event, res)
	}
	select {
	case notify := <-f.notify: // maybe long here: it may overtake the response
		return notify, nil
	case <-l.life.Done():
		return nil, fault.New(fault.Unavailable, op, errClosed)
	case <-ctx.Done():
		return nil, fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
}

func (l *line) subscribe(event Event, ext identity.Extension) (*sip.Request, error) {
	address, err := l.config.address(ext)
	if err != nil {
		return nil, err
	}
	req := newRequest(sip.SUBSCRIBE, event, address, l.config.watcher())
	req.AppendHeader(sip.NewHeader("Accept", event.contentType()))
	req.AppendHeader(sip.NewHeader("Expires", "0"))
	return req, nil
}

// notified hears all NOTIFYs and keeps those that somebody waits for.
func (l *line) notified(req *sip.Request, tx sip.ServerTransaction) {
	status, reason := 481, "Subscription Does Not Exist"
	if f := l.waiting(req); f != nil {
		status, reason = 200, "OK"
		select {
		case f.notify <- req:
		default: // the first one is the answer
		}
	}
	// If the response is lost the server repeats the NOTIFY or gives up; either way
	// the fetch has what it waited for.
	_ = tx.Respond(sip.NewResponseFromRequest(req, status, reason, nil))
}

func (l *line) waiting(req *sip.Request) *fetch {
	if req.CallID() == nil || req.To() == nil {
		return nil
	}
	tag, _ := req.To().Params.Get("tag")
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.fetches[req.CallID().Value()]; f != nil && f.tag == tag {
		return f
	}
	return nil
}

// read is what a NOTIFY says.
func read(op string, notify *sip.Request) (presence.Status, error) {
	switch reason(notify) { // RFC 6665 section 4.1.3
	case "rejected":
		return presence.Unset, fault.New(fault.Denied, op, errRejected)
	case "noresource":
		return presence.Unset, fault.New(fault.NotFound, op, errNobody)
	}
	body := notify.Body()
	if len(body) > 0 {
		kind := ""
		if header := notify.GetHeader("Content-Type"); header != nil {
			kind, _, _ = mime.ParseMediaType(header.Value())
		}
		if kind != pidfType {
			return presence.Unset, fault.Errorf(fault.Unavailable, op, "%w: it holds %q instead of "+pidfType, errGarbled, kind)
		}
	}
	status, err := parse(body)
	if err != nil {
		return presence.Unset, fault.Errorf(fault.Unavailable, op, "%w: %w", errGarbled, err)
	}
	return status, nil
}

// reason is the reason parameter of Subscription-State, "" without one.
func reason(notify *sip.Request) string {
	header := notify.GetHeader("Subscription-State")
	if header == nil {
		return ""
	}
	for part := range strings.SplitSeq(header.Value(), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(name, "reason") {
			return strings.ToLower(strings.Trim(value, `"`))
		}
	}
	return ""
}

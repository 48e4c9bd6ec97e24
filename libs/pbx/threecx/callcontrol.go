package threecx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// callControl is where the Call Control API lives.
const callControl = "/callcontrol"

// Bounds of what Call Control may send and take.
const (
	messageLimit = 64 << 10 // bytes; an event has about 150
	lookTime     = 5 * time.Second
)

// participant is one end of a call at an extension, as far as it is read.
type participant struct {
	ID     int64
	DN     string
	Status string
}

// inCall says whether somebody speaks, listens to music or calls: who dials has the phone in
// hand, and the vendor's own examples count that as busy. Ringing, the third that is known,
// is no call: nobody has taken it. What is not known is none either: a phone that is busy for
// no reason is worse than one that is not.
func (p participant) inCall() bool {
	return strings.EqualFold(p.Status, "Connected") || strings.EqualFold(p.Status, "Dialing")
}

// lookForCalls finds out whether Call Control may be used, and why not. Only what says so
// clearly is a reason: that it is not there, or not for this client. Trouble that may pass is
// none, and neither is an answer that makes no sense, such as the page of a 3CX that starts
// up: what Open finds is for good, and a watch that fails is tried again.
func (d *Driver) lookForCalls(ctx context.Context) (why string) {
	ctx, cancel := context.WithTimeoutCause(ctx, min(lookTime, d.wire.config.Timeout), errNoAnswer)
	defer cancel()
	_, err := d.readCalls(ctx)
	if err == nil {
		return ""
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Unsupported, fault.Gone:
		return err.Error()
	}
	return ""
}

// snapshot is everybody with whatever they are in; nil is none, which is not nobody.
type snapshot []struct {
	DN           string
	Participants []participant
}

// readCalls lists the participants in calls of every extension that may be seen.
func (d *Driver) readCalls(ctx context.Context) (map[identity.Extension]map[int64]bool, error) {
	const op = "threecx: calls"
	var all snapshot
	if err := d.wire.read(ctx, op, callControl, nil, &all); err != nil {
		return nil, err
	}
	return all.calls(op)
}

// calls are the participants that are in calls. What is no list would end all calls if it were taken
// for an empty one.
func (s snapshot) calls(op string) (map[identity.Extension]map[int64]bool, error) {
	if s == nil {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
	}
	calls := make(map[identity.Extension]map[int64]bool)
	for _, dn := range s {
		ext, err := identity.ParseExtension(dn.DN)
		if err != nil {
			continue // nobody can be linked to it
		}
		for _, p := range dn.Participants {
			if p.inCall() {
				if calls[ext] == nil {
					calls[ext] = make(map[int64]bool)
				}
				calls[ext][p.ID] = true
			}
		}
	}
	return calls, nil
}

// readParticipant says whether one participant is in a call; one that is gone, or not
// for us to see, is not.
func (d *Driver) readParticipant(ctx context.Context, ext identity.Extension, id int64) (bool, error) {
	const op = "threecx: call"
	var p participant
	err := d.wire.read(ctx, op, callControl+"/"+string(ext)+"/participants/"+strconv.FormatInt(id, 10), nil, &p)
	switch {
	case err != nil && (fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Denied):
		return false, nil
	case err != nil:
		return false, err
	}
	return p.inCallAt(op, ext, id)
}

// inCallAt is inCall, of the participant that was asked for and of no other.
func (p participant) inCallAt(op string, ext identity.Extension, id int64) (bool, error) {
	if p.ID != id || p.DN != string(ext) {
		return false, fault.Errorf(fault.Unavailable, op, "%w: asked for participant %d of %s, it is about %d of %s", errSenseless, id, ext, p.ID, quotable(p.DN))
	}
	return p.inCall(), nil
}

// dial opens the websocket with the one token, and once more with a new one if that
// was dead.
func (w *wire) dial(ctx context.Context) (*websocket.Conn, error) {
	const op = "threecx: watch"
	if w.closed.Load() {
		return nil, fault.New(fault.Unavailable, op, errClosed)
	}
	dead := ""
	for {
		bearer, err := w.tokens.get(ctx, dead)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		conn, status, err := w.upgrade(ctx, op, bearer)
		if err == nil || status != http.StatusUnauthorized || dead != "" {
			return conn, err
		}
		dead = bearer
	}
}

// upgrade is one attempt, with the status of the answer, 0 if there was none.
func (w *wire) upgrade(ctx context.Context, op, bearer string) (*websocket.Conn, int, error) {
	if err := w.enter(ctx, op); err != nil {
		return nil, 0, err
	}
	defer w.leave() // an open websocket is no request that somebody waits for
	bounded, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errNoAnswer)
	defer cancel() // it bounds the handshake and not what comes after it
	traced, left := pbx.Departing(bounded)
	conn, response, err := websocket.Dial(traced, w.base.JoinPath(callControl, "ws").String(), &websocket.DialOptions{
		HTTPClient: w.client, HTTPHeader: http.Header{"Authorization": {"Bearer " + bearer}},
	})
	switch {
	case err == nil:
		conn.SetReadLimit(messageLimit)
		return conn, response.StatusCode, nil
	case response == nil:
		return nil, 0, failure(bounded, op, left.Load(), true, err)
	case response.StatusCode == http.StatusSwitchingProtocols:
		return nil, response.StatusCode, fault.New(fault.Unavailable, op, err)
	}
	body, _ := io.ReadAll(response.Body) // what Dial has kept of it; a part will do
	return nil, response.StatusCode, refusal(op, false, response.StatusCode, response.Header, body, time.Now())
}

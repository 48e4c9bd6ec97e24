package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"offhook.dev/libs/core/fault"
)

// eventTimeout bounds writing one event: a reader that takes longer is gone.
const eventTimeout = 10 * time.Second

// stream writes server-sent events (WHATWG HTML, section "Server-sent events").
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter) stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	return stream{w, http.NewResponseController(w)}
}

// send writes one block of lines and flushes it.
func (s stream) send(format string, args ...any) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format+"\n\n", args...); err != nil {
		return err
	}
	return s.control.Flush()
}

// event writes a change; only outcomes have an id to come back with.
func (s stream) event(e event) error {
	data, err := json.Marshal(e.change)
	if err != nil {
		return err
	}
	if e.id == 0 {
		return s.send("event: change\ndata: %s", data)
	}
	return s.send("id: %d\nevent: change\ndata: %s", e.id, data)
}

// problem tells the reader why the stream ends.
func (s stream) problem(p *Problem) {
	if data, err := json.Marshal(p); err == nil {
		_ = s.send("event: problem\ndata: %s", data) // it ends anyway
	}
}

// serveWatch streams changes until the client leaves, is too slow, or the service
// ends. With Last-Event-ID it begins with what came after that event.
func (a *rest) serveWatch(w http.ResponseWriter, r *http.Request) error {
	after, resumes, err := lastEventID(r)
	if err != nil {
		return err
	}
	watcher, upTo, err := a.hub.watch(r.FormValue("tenant"), r.FormValue("user"))
	if err != nil {
		return err
	}
	defer a.hub.leave(watcher)
	out := newStream(w)
	if out.send("retry: 1000") != nil {
		return nil
	}
	if resumes {
		if err := missed(r.Context(), a.hub.bus, a.model, watcher, after, upTo, out.event); err != nil {
			out.problem(problemOf(err))
			return nil
		}
	}
	ping := time.NewTicker(a.ping)
	defer ping.Stop()
	for {
		select {
		case <-r.Context().Done():
			out.problem(problemOf(fault.New(fault.Cancelled, "watch", r.Context().Err())))
			return nil
		case <-ping.C:
			err = out.send(": ping")
		case e, kept := <-watcher.events:
			if !kept {
				out.problem(errSlow())
				return nil
			}
			err = out.event(e)
		}
		if err != nil {
			return nil // the client is gone
		}
	}
}

func lastEventID(r *http.Request) (id uint64, given bool, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return 0, false, nil
	}
	if id, err = strconv.ParseUint(text, 10, 63); err != nil {
		return 0, false, problem(fault.Invalid, CodeRequest, "the event id "+strconv.Quote(text)+" is not a number", "header Last-Event-ID",
			"send the id of the last event received, or leave the header out")
	}
	return id, true, nil
}

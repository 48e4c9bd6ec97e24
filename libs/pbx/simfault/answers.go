package simfault

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"strconv"
)

// draft keeps an answer.
type draft struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func drafted(handle func(http.ResponseWriter)) *draft {
	d := &draft{header: make(http.Header), status: http.StatusOK}
	handle(d)
	return d
}

func (d *draft) Header() http.Header         { return d.header }
func (d *draft) Write(p []byte) (int, error) { return d.body.Write(p) }
func (d *draft) WriteHeader(status int)      { d.status = status }

// Unanswered lets handle do its work, of which nobody is told.
func Unanswered(handle func(http.ResponseWriter)) { drafted(handle) }

// Cut sends half of an answer, and then cuts the connection; nothing of an answer without
// a body.
func Cut(w http.ResponseWriter, handle func(http.ResponseWriter)) {
	d := drafted(handle)
	if whole := d.body.Bytes(); len(whole) > 0 {
		maps.Copy(w.Header(), d.header)
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		w.WriteHeader(d.status)
		_, _ = w.Write(whole[:len(whole)/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

// Flood sends spaces, which JSON may begin with, until the client has had enough.
func Flood(ctx context.Context, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for spaces := bytes.Repeat([]byte(" "), 64<<10); ctx.Err() == nil; {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}

// Latin sends an answer in the charset of another century. What that does not have is a
// question mark.
func Latin(w http.ResponseWriter, handle func(http.ResponseWriter)) {
	d := drafted(handle)
	maps.Copy(w.Header(), d.header)
	w.WriteHeader(d.status)
	var body []byte
	for _, r := range d.body.String() {
		if r > 0xff {
			r = '?'
		}
		body = append(body, byte(r))
	}
	_, _ = w.Write(body)
}

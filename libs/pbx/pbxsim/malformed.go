package pbxsim

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
)

// draft keeps an answer, to spoil it.
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

// cut sends half of an answer; nothing of one without a body.
func cut(w http.ResponseWriter, handle func(http.ResponseWriter)) {
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

// flood sends spaces, which JSON may begin with, until the client has had enough.
func flood(w http.ResponseWriter, r request) {
	w.Header().Set("Content-Type", "application/json")
	for spaces := bytes.Repeat([]byte(" "), 64<<10); r.Context().Err() == nil; {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}

// inLatin sends an answer in the charset of another century. What that does not have is a
// question mark.
func inLatin(w http.ResponseWriter, handle func(http.ResponseWriter)) {
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

package esl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Limits of what the other side may send.
const (
	lineLimit   = 16 << 10 // bytes of a header line; also the size of the read buffer
	headerLimit = 256      // lines of a header
	bodyLimit   = 16 << 20 // bytes; list_users of 20,000 extensions has 4 MB
	bodyStep    = 64 << 10 // bytes that are allocated before they have arrived
)

// Content types (mod_event_socket.c).
const (
	typeAuth       = "auth/request"
	typeReply      = "command/reply"
	typeAPI        = "api/response"
	typeJSON       = "text/event-json"
	typeDisconnect = "text/disconnect-notice"
	typeRejection  = "text/rude-rejection"
)

// ErrSenseless is what is received that is no frame, or not one that can be here.
var ErrSenseless = errors.New("what was received makes no sense")

// frame is one message of the other side: header lines, an empty line, and a body if its
// length was announced.
type frame struct {
	kind  string // the content type
	reply string // Reply-Text
	job   string // Job-UUID
	body  []byte // valid until the next frame is read
}

// reader takes frames out of a stream. What has come of one when a deadline passes is
// kept, and the next call goes on with it.
type reader struct {
	in *bufio.Reader

	line   []byte // the beginning of a header line whose end has not come yet
	frame  frame  // as far as its header has come
	lines  int    // of the header, those before the first included
	length int    // of the body, as announced
	headed bool   // the header is complete
	body   []byte // of a long one, as far as it has come
}

func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReaderSize(in, lineLimit)} }

// next reads the next frame.
func (r *reader) next() (frame, error) {
	for !r.headed {
		line, err := r.headerLine()
		if err != nil {
			return frame{}, err
		}
		if r.lines++; r.lines > headerLimit {
			return frame{}, fmt.Errorf("%w: a header of more than %d lines", ErrSenseless, headerLimit)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			r.headed = r.frame.kind != "" // else an empty line between frames
			continue
		}
		if r.length, err = r.frame.header(line, r.length); err != nil {
			return frame{}, err
		}
	}
	f := r.frame
	if r.length > 0 {
		var err error
		if f.body, err = r.readBody(); err != nil {
			return frame{}, err
		}
	}
	r.frame, r.lines, r.length, r.headed = frame{}, 0, 0, false
	return f, nil
}

// headerLine reads a line, which is valid until the next is read.
func (r *reader) headerLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if err != nil || len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	switch {
	case len(line) > lineLimit, errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrSenseless, lineLimit)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	r.line = r.line[:0]
	return line, nil
}

// header reads a header line. length is the announced one, as far as it is known.
func (f *frame) header(line []byte, length int) (int, error) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return 0, fmt.Errorf("%w: a header line without a colon", ErrSenseless)
	}
	value = bytes.TrimSpace(value)
	switch string(name) {
	case "Content-Type":
		f.kind = contentType(value)
	case "Reply-Text":
		f.reply = string(value)
	case "Job-UUID":
		f.job = string(value)
	case "Content-Length":
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("%w: a length that is no number", ErrSenseless)
		}
		if n > bodyLimit {
			return 0, fmt.Errorf("%w: %d bytes are announced, more than %d", ErrSenseless, n, bodyLimit)
		}
		return int(n), nil
	}
	return length, nil
}

// contentType is a content type, without an allocation for those that are common.
func contentType(value []byte) string {
	switch string(value) {
	case typeReply:
		return typeReply
	case typeAPI:
		return typeAPI
	case typeJSON:
		return typeJSON
	case "":
		return "none"
	}
	return string(value)
}

// readBody reads the body of the frame. A short one stays where it is.
func (r *reader) readBody() ([]byte, error) {
	if r.length <= lineLimit {
		body, err := r.in.Peek(r.length)
		if err == nil {
			_, err = r.in.Discard(r.length)
		}
		return body, truncated(err)
	}
	for len(r.body) < r.length {
		if len(r.body) == cap(r.body) { // as much again as has arrived
			r.body = slices.Grow(r.body, min(max(bodyStep, len(r.body)), r.length-len(r.body)))
		}
		n, err := r.in.Read(r.body[len(r.body):min(cap(r.body), r.length)])
		r.body = r.body[:len(r.body)+n]
		if err != nil {
			return nil, truncated(err)
		}
	}
	body := r.body
	r.body = nil
	return body, nil
}

// truncated: the end of the connection within a frame is not a regular one.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

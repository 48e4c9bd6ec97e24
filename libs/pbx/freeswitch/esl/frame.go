package esl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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

// readFrame reads one frame. r must have a buffer of lineLimit.
func readFrame(r *bufio.Reader) (frame, error) {
	var f frame
	length, lines := 0, 0
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return f, fmt.Errorf("%w: a line of more than %d bytes", ErrSenseless, lineLimit)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return f, io.ErrUnexpectedEOF
		case err != nil:
			return f, err
		}
		if lines++; lines > headerLimit {
			return f, fmt.Errorf("%w: a header of more than %d lines", ErrSenseless, headerLimit)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if f.kind == "" { // empty lines between frames
				continue
			}
			break
		}
		if length, err = f.header(line, length); err != nil {
			return f, err
		}
	}
	if length == 0 {
		return f, nil
	}
	var err error
	f.body, err = readBody(r, length)
	return f, err
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

func readBody(r *bufio.Reader, length int) ([]byte, error) {
	var err error
	if length <= lineLimit { // it stays where it is
		body, err := r.Peek(length)
		if err == nil {
			_, err = r.Discard(length)
		}
		return body, truncated(err)
	}
	if length <= bodyStep {
		body := make([]byte, length)
		_, err = io.ReadFull(r, body)
		return body, truncated(err)
	}
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(r, int64(length)))
	if err == nil && n < int64(length) {
		err = io.ErrUnexpectedEOF
	}
	return body.Bytes(), truncated(err)
}

// truncated: the end of the connection within a frame is not a regular one.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

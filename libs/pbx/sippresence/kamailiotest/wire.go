package kamailiotest

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
)

// Wire is a bare connection to a server over UDP or TCP: no transactions, no
// retransmission, and of a message no more is looked at than what is asked for.
type Wire struct {
	net.Conn
	in *bufio.Reader
}

// Dial connects to a server over UDP or TCP.
func (s *Server) Dial(transport string) (*Wire, error) {
	conn, err := net.Dial(transport, s.Address(transport))
	if err != nil {
		return nil, err
	}
	return &Wire{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// Message is a message as it came: what it begins with, and its body.
type Message struct{ Head, Body []byte }

// Read reads the next message.
func (w *Wire) Read() (Message, error) {
	var m Message
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return Message{}, err
		}
		m.Head = append(m.Head, line...)
		if len(line) == 2 && len(m.Head) > 2 {
			break
		}
		if len(line) == 2 {
			m.Head = m.Head[:0] // empty lines between messages
		}
	}
	if length := m.Header("Content-Length"); length != "" && length != "0" {
		n, err := strconv.Atoi(length)
		if err != nil || n > 1<<20 {
			return Message{}, fmt.Errorf("a message of the length %q", length)
		}
		m.Body = make([]byte, n)
		if _, err := io.ReadFull(w.in, m.Body); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

// Status is the code of a response, 0 of a request.
func (m Message) Status() int {
	rest, ok := bytes.CutPrefix(m.Head, []byte("SIP/2.0 "))
	if !ok || len(rest) < 3 {
		return 0
	}
	status, _ := strconv.Atoi(string(rest[:3]))
	return status
}

// Header is the first value of a header that is written with its long name as Kamailio
// writes it, "" if there is none.
func (m Message) Header(name string) string {
	_, rest, ok := bytes.Cut(m.Head, []byte("\r\n"+name+": "))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return textproto.TrimString(string(value))
}

var noncePattern = regexp.MustCompile(`nonce="([^"]*)"`)

// Answer is the Authorization header, with its line end, that answers the challenge in m.
func (m Message) Answer(method, uri string) string {
	nonce := noncePattern.FindStringSubmatch(m.Header("WWW-Authenticate"))
	if nonce == nil {
		return ""
	}
	sum := func(text string) string { digest := md5.Sum([]byte(text)); return hex.EncodeToString(digest[:]) }
	response := sum(sum(Username+":"+Domain+":"+Password) + ":" + nonce[1] + ":" + sum(method+":"+uri))
	return fmt.Sprintf("Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\"\r\n", Username, Domain, nonce[1], uri, response)
}

// Accept is the response 200 to a request.
func (m Message) Accept() []byte {
	var response strings.Builder
	response.WriteString("SIP/2.0 200 OK\r\n")
	for line := range strings.SplitSeq(string(m.Head), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "To", "Call-ID", "CSeq":
			response.WriteString(line + "\r\n")
		}
	}
	response.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(response.String())
}

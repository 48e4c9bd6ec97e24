package esl

import (
	"io"
	"net"
	"testing"
)

func TestAnswersAreUTF8(t *testing.T) {
	c := led(t, func(conn net.Conn, read func()) {
		read()
		_, _ = io.WriteString(conn, "Content-Type: api/response\nContent-Length: 4\n\nJ\xf6rg")
		read()
		_, _ = io.WriteString(conn, "Content-Type: command/reply\nReply-Text: -ERR \xe9t\xe9\n\n")
	})
	for _, want := range []Reply{"Jörg", "-ERR été"} {
		if replies, err := c.Do(t.Context(), API("status")); err != nil || replies[0] != want {
			t.Errorf("%q, %v", replies, err)
		}
	}
}

package ami

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// signIn reads the greeting and signs in by challenge: what is sent is a digest of the
// challenge and the secret. The connection has its deadline from outside.
func (c *Conn) signIn(config Config) error {
	greeting, err := c.in.line(greetingLimit)
	if err != nil {
		return err
	}
	name, version, found := strings.Cut(strings.TrimRight(string(greeting), "\r\n"), "/")
	if !found || !strings.HasSuffix(name, "Call Manager") {
		return fmt.Errorf("%w: it greets with %q", ErrMalformed, printable(string(greeting)))
	}
	c.version = printable(version)
	challenge, err := c.step(NewAction("Challenge", "AuthType", "MD5"))
	if err != nil {
		return err
	}
	text := challenge.Get("Challenge")
	if text == "" {
		return fmt.Errorf("%w: a challenge without one", ErrMalformed)
	}
	digest := md5.Sum([]byte(text + config.Secret.Reveal()))
	events := config.Events
	if events == "" {
		events = "off"
	}
	_, err = c.step(NewAction("Login", "AuthType", "MD5", "Username", config.Username, "Key", hex.EncodeToString(digest[:]), "Events", events))
	return err
}

// step is one action while nobody reads yet. Events that come before the answer are
// nobody's.
func (c *Conn) step(a Action) (Message, error) {
	c.nextID++
	id := fmt.Sprint(c.prefix, c.nextID)
	frame, err := a.frame(nil, id)
	if err != nil {
		return Message{}, err
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(stall))
	if _, err := c.conn.Write(frame); err != nil {
		return Message{}, err
	}
	for {
		m, err := c.in.message()
		switch {
		case err != nil:
			return Message{}, err
		case m.Event() != "" || m.Get("ActionID") != id:
		case !strings.EqualFold(m.Response(), "Success"):
			return Message{}, &Refusal{Action: a.Name, Message: m.Get("Message")}
		default:
			return m, nil
		}
	}
}

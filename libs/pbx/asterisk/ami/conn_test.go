package ami

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hidden = "hunter2"

// peer is the other end of a session, played by a test line by line.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// listen accepts one session, which play plays; the address is where.
func listen(t *testing.T, play func(*peer)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var playing sync.WaitGroup
	playing.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		play(&peer{t, conn, bufio.NewReader(conn)})
	})
	t.Cleanup(func() { listener.Close(); playing.Wait() })
	return listener.Addr().String()
}

// next reads a message; nil once the session has ended.
func (p *peer) next() map[string]string {
	m := make(map[string]string)
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return nil
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return m
		}
		key, value, _ := strings.Cut(line, ": ")
		m[key] = value
	}
}

func (p *peer) say(format string, args ...any) { fmt.Fprintf(p.conn, format, args...) }

// ok answers a message.
func (p *peer) ok(m map[string]string, lines string) {
	p.say("Response: Success\r\nActionID: %s\r\n%s\r\n", m["ActionID"], lines)
}

// signIn takes part in signing in, and checks it.
func (p *peer) signIn() {
	p.say("Asterisk Call Manager/9.0.0\r\n")
	m := p.next()
	if m["Action"] != "Challenge" || m["AuthType"] != "MD5" {
		p.t.Errorf("it begins with %v", m)
	}
	p.ok(m, "Challenge: 4711\r\n")
	m = p.next()
	digest := md5.Sum([]byte("4711" + hidden))
	if m["Action"] != "Login" || m["AuthType"] != "MD5" || m["Username"] != "offhook" || m["Key"] != hex.EncodeToString(digest[:]) || m["Secret"] != "" {
		p.t.Errorf("it signs in with %v", m)
	}
	p.ok(m, "Message: Authentication accepted\r\n")
}

func configFor(address string) Config {
	return Config{Address: address, Username: "offhook", Secret: secret.NewValue(hidden)}
}

// dialed is a session with a peer that plays after signing in.
func dialed(t *testing.T, change func(*Config), play func(*peer)) *Conn {
	t.Helper()
	config := configFor(listen(t, func(p *peer) { p.signIn(); play(p) }))
	if change != nil {
		change(&config)
	}
	c, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnAnswerIsFoundWhereverItComes(t *testing.T) {
	var heard []string
	c := dialed(t, func(c *Config) { c.Events = "call"; c.Hear = func(m Message) { heard = append(heard, m.Event()) } }, func(p *peer) {
		first, second, third := p.next(), p.next(), p.next()
		p.say("Event: Before\r\nX: 1\r\n\r\n")
		p.say("Response: Success\r\nActionID: nobody's\r\nMessage: stray\r\n\r\n")
		p.say("Response: Error\r\nMessage: without an id\r\n\r\n")
		answer := func(m map[string]string) {
			switch m["Action"] {
			case "Ping":
				p.ok(m, "Ping: Pong\r\n")
			case "DBDel":
				p.say("Response: Error\r\nActionID: %s\r\nMessage: Database entry not found\r\n\r\n", m["ActionID"])
			case "DeviceStateList":
				p.ok(m, "EventList: start\r\n")
				p.say("Event: DeviceStateChange\r\nActionID: %s\r\nDevice: A\r\n\r\n", m["ActionID"])
				p.say("Event: DeviceStateChange\r\nDevice: between\r\n\r\n")
				p.say("Event: DeviceStateChange\r\nActionID: %s\r\nDevice: B\r\n\r\n", m["ActionID"])
				p.say("Event: DeviceStateListComplete\r\nActionID: %s\r\nEventList: Complete\r\n\r\n", m["ActionID"])
			}
		}
		answer(third)
		answer(second)
		answer(first)
		p.say("Event: After\r\nActionID: %s\r\n\r\n", first["ActionID"])
		p.next()
	})
	var callers sync.WaitGroup
	callers.Go(func() {
		if m, err := c.Do(t.Context(), NewAction("Ping")); err != nil || m.Get("ping") != "Pong" {
			t.Errorf("Ping: %v, %v", m, err)
		}
	})
	callers.Go(func() {
		_, err := c.Do(t.Context(), NewAction("DBDel", "Family", "DND", "Key", "200"))
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Message != "Database entry not found" {
			t.Errorf("DBDel: %v", err)
		}
	})
	callers.Go(func() {
		items, err := c.List(t.Context(), NewAction("DeviceStateList"))
		if err != nil || len(items) != 2 || items[0].Get("Device") != "A" || items[1].Get("Device") != "B" {
			t.Errorf("DeviceStateList: %v, %v", items, err)
		}
	})
	callers.Wait()
	c.Close() // after which nobody hears
	if len(heard) < 2 || heard[0] != "Before" || heard[1] != "DeviceStateChange" {
		t.Errorf("heard %v", heard)
	}
}

func TestListsEndAsVersionsEndThem(t *testing.T) {
	for name, c := range map[string]struct {
		says string // after the response's ActionID line; # is the id
		n    int
		lost bool
	}{
		"with a mark":                      {"EventList: start\r\n\r\nEvent: A\r\nActionID: #\r\n\r\nEvent: Done\r\nActionID: #\r\nEventList: Complete\r\n\r\n", 1, false},
		"in another case":                  {"eventlist: Start\r\n\r\nEvent: A\r\nActionID: #\r\n\r\nEvent: Done\r\nActionID: #\r\neventlist: complete\r\n\r\n", 1, false},
		"with a name alone":                {"EventList: start\r\n\r\nEvent: A\r\nActionID: #\r\n\r\nEvent: AComplete\r\nActionID: #\r\nListItems: 1\r\n\r\n", 1, false},
		"before it began":                  {"Message: There are no voicemail users currently defined.\r\n\r\n", 0, false},
		"given up":                         {"EventList: start\r\n\r\nEvent: A\r\nActionID: #\r\n\r\nEvent: Done\r\nActionID: #\r\nEventList: cancelled\r\n\r\n", 0, true},
		"with an item that came too early": {"EventList: start\r\n\r\nEvent: Done\r\nActionID: #\r\nEventList: Complete\r\n\r\n", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialed(t, nil, func(p *peer) {
				m := p.next()
				p.say("%s", "Response: Success\r\nActionID: "+m["ActionID"]+"\r\n"+strings.ReplaceAll(c.says, "#", m["ActionID"]))
				p.next()
			})
			items, err := conn.List(t.Context(), NewAction("X"))
			var lost *LostError
			if len(items) != c.n || errors.As(err, &lost) != c.lost || (err == nil) == c.lost {
				t.Errorf("%v, %v", items, err)
			}
		})
	}
}

func TestNoMoreThanSoManyAreInFlight(t *testing.T) {
	const callers = 40
	most, count := 0, make(chan int, 1)
	c := dialed(t, nil, func(p *peer) {
		for done := 0; done < callers; {
			var waiting []map[string]string
			for len(waiting) < min(defaultInFlight, callers-done) {
				waiting = append(waiting, p.next())
			}
			_ = p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // one more would be too many
			if _, err := p.in.Peek(1); err == nil {
				p.t.Error("more than sixteen are in flight")
			}
			_ = p.conn.SetReadDeadline(time.Time{})
			most = max(most, len(waiting))
			for i := len(waiting) - 1; i >= 0; i-- {
				p.ok(waiting[i], "")
			}
			done += len(waiting)
		}
		count <- most
		p.next()
	})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if _, err := c.Do(t.Context(), NewAction("Ping")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := <-count; n != defaultInFlight {
		t.Errorf("%d were in flight at most", n)
	}
}

func TestACancelledActionKeepsItsPlaceUntilItIsAnswered(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	c := dialed(t, func(c *Config) { c.InFlight = 1 }, func(p *peer) {
		first := p.next()
		close(arrived)
		<-release
		p.ok(first, "Of: the first\r\n")
		p.ok(p.next(), "Of: the second\r\n")
		p.next()
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { _, err := c.Do(ctx, NewAction("Ping")); result <- err }()
	<-arrived
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if c.Err() != nil || len(c.slots) != 1 {
		t.Errorf("the connection: %v, in flight %d", c.Err(), len(c.slots))
	}
	close(release)
	if m, err := c.Do(t.Context(), NewAction("Ping")); err != nil || m.Get("Of") != "the second" {
		t.Errorf("the next one: %v, %v", m, err)
	}
}

func TestASilentConnectionIsGivenUpAtADeadline(t *testing.T) {
	for name, says := range map[string]string{"not a word": "", "something else": "Event: Alive\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			c := dialed(t, nil, func(p *peer) {
				p.next()
				p.next()
				p.say("%s", says)
				p.next()
			})
			c.quiet = time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := c.Do(ctx, NewAction("Ping")); !errors.Is(err, context.DeadlineExceeded) || c.Err() != nil {
				t.Errorf("within what is usual: %v, %v", err, c.Err())
			}
			c.quiet = 50 * time.Millisecond
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := c.Do(ctx, NewAction("Ping")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if silent := errors.Is(c.Err(), ErrSilent); silent != (says == "") {
				t.Errorf("the connection: %v", c.Err())
			}
		})
	}
}

func TestWhatIsLateOrUnsendableNeverLeaves(t *testing.T) {
	c := dialed(t, nil, func(p *peer) {
		if m := p.next(); m["Action"] != "Ping" {
			p.t.Errorf("it sent %v", m)
		} else {
			p.ok(m, "")
		}
		p.next()
	})
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	long := strings.Repeat("a", LineLimit)
	for name, test := range map[string]struct {
		ctx    context.Context
		action Action
		want   error
	}{
		"late":                    {late, NewAction("DBPut"), ErrLate},
		"given up":                {gone, NewAction("DBPut"), context.Canceled},
		"a line end":              {t.Context(), NewAction("DBPut", "Val", "YES\r\n\r\nAction: Originate"), ErrUnsendable},
		"half a line end":         {t.Context(), NewAction("DBPut", "Val", "YES\n"), ErrUnsendable},
		"a carriage return":       {t.Context(), NewAction("DBPut", "Key", "\r200"), ErrUnsendable},
		"a zero byte":             {t.Context(), NewAction("DBPut", "Key", "20\x000"), ErrUnsendable},
		"a name with a line end":  {t.Context(), NewAction("DBPut\r\nX: y"), ErrUnsendable},
		"a key with a colon":      {t.Context(), NewAction("DBPut", "Family: x", "y"), ErrUnsendable},
		"no key":                  {t.Context(), NewAction("DBPut", "", "y"), ErrUnsendable},
		"a line that is too long": {t.Context(), NewAction("DBPut", "Val", long), ErrUnsendable},
		"too many lines":          {t.Context(), NewAction("DBPut", make([]string, 2*lineCount+2)...), ErrUnsendable},
	} {
		if _, err := c.Do(test.ctx, test.action); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "Originate") {
			t.Errorf("%s: the value is quoted: %v", name, err)
		}
	}
	if n := len(c.slots); n != 0 {
		t.Errorf("%d are still in flight", n)
	}
	if _, err := c.Do(t.Context(), NewAction("Ping")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTheEndOfAConnectionEndsEveryCall(t *testing.T) {
	for name, says := range map[string]struct {
		text string
		want error
	}{
		"cut":                  {"", io.EOF},
		"cut within a message": {"Response: Suc", io.ErrUnexpectedEOF},
		"a page of the web":    {"<html>It works!</html>\r\n\r\n", ErrMalformed},
		"a line without end":   {"Event: X\r\nText: " + strings.Repeat("a", messageLimit), ErrMalformed},
		"a message without":    {strings.Repeat("Event: X\r\n", messageLimit/8), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialed(t, nil, func(p *peer) {
				p.next()
				p.next()
				p.say("%s", says.text)
			})
			var callers sync.WaitGroup
			for range 2 {
				callers.Go(func() {
					_, err := c.Do(t.Context(), NewAction("Ping"))
					var lost *LostError
					if !errors.As(err, &lost) || !lost.Sent || !errors.Is(err, says.want) {
						t.Errorf("got %v", err)
					}
				})
			}
			callers.Wait()
			_, err := c.Do(t.Context(), NewAction("Ping"))
			var lost *LostError
			if !errors.As(err, &lost) || lost.Sent || len(c.slots) != 0 {
				t.Errorf("afterwards: %v, in flight %d", err, len(c.slots))
			}
		})
	}
}

func TestSigningIn(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*peer)
		want func(error) bool
	}{
		"another secret": {func(p *peer) {
			p.say("Asterisk Call Manager/9.0.0\r\n")
			p.ok(p.next(), "Challenge: 1\r\n")
			m := p.next()
			p.say("Event: Early\r\n\r\nResponse: Error\r\nActionID: %s\r\nMessage: Authentication failed\r\n\r\n", m["ActionID"])
		}, func(err error) bool {
			var r *Refusal
			return errors.As(err, &r) && r.Message == "Authentication failed"
		}},
		"no challenge":        {func(p *peer) { p.say("Asterisk Call Manager/9\r\n"); p.ok(p.next(), "") }, func(err error) bool { return errors.Is(err, ErrMalformed) }},
		"something else":      {func(p *peer) { p.say("SSH-2.0-OpenSSH_9.6\r\n"); p.next() }, func(err error) bool { return errors.Is(err, ErrMalformed) }},
		"a greeting too long": {func(p *peer) { p.say("%s", strings.Repeat("a", 2*greetingLimit)+"\n"); p.next() }, func(err error) bool { return errors.Is(err, ErrMalformed) }},
		"cut":                 {func(p *peer) { p.say("Asterisk Call Manager/9\r\n") }, func(err error) bool { return err != nil }},
		"silence":             {func(p *peer) { p.next() }, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			if name == "silence" {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			conn, err := Dial(ctx, configFor(listen(t, c.play)))
			if err == nil {
				conn.Close()
			}
			if !c.want(err) || strings.Contains(fmt.Sprint(err), hidden) {
				t.Errorf("got %v", err)
			}
		})
	}
}

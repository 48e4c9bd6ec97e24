package asterisksim

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineBuffer is how many bytes of a line there is room for, with its end.
	lineBuffer = 1024
	lineCount  = 128
	// writeTimeout is how long a session may keep everybody waiting.
	writeTimeout = 2 * time.Second
)

// session is one connection. One goroutine reads and answers; others tell events.
type session struct {
	sim       *Sim
	conn      net.Conn
	in        *bufio.Reader
	challenge string
	signedIn  atomic.Bool
	events    atomic.Uint32 // the classes that are told, 0 before signing in

	writing sync.Mutex // guards out, and writes
	out     *bufio.Writer
}

func newSession(s *Sim, conn net.Conn) *session {
	return &session{sim: s, conn: conn, in: bufio.NewReaderSize(conn, 32<<10), out: bufio.NewWriterSize(conn, 32<<10)}
}

func (s *session) told() class { return class(s.events.Load()) }

// tell sends an event at once.
func (s *session) tell(text string) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = s.out.WriteString(text)
	if s.out.Flush() != nil {
		_ = s.conn.Close()
	}
}

// answer sends an answer, with whatever else waits once there is nothing more to read.
func (s *session) answer(text string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.out.WriteString(text); err != nil || s.in.Buffered() > 0 {
		return err
	}
	return s.out.Flush()
}

func (s *session) serve() {
	defer s.conn.Close()
	if s.answer("Asterisk Call Manager/"+s.sim.config.Interface+"\r\n") != nil {
		return
	}
	for {
		m, err := s.read()
		if err != nil || s.handle(m) != nil {
			return
		}
	}
}

// request is an action as it came. Keys are compared without case.
type request struct {
	lines   [][2]string
	tooLong bool
	tooMany bool
}

func (r request) get(key string) string {
	for _, line := range r.lines {
		if strings.EqualFold(line[0], key) {
			return line[1]
		}
	}
	return ""
}

// read reads one message. A line that is longer than the buffer is thrown away as far as
// it was read, and the message is an error when it ends.
func (s *session) read() (request, error) {
	var m request
	for {
		line, err := s.in.ReadSlice('\n')
		if err == nil && len(line) > lineBuffer || errors.Is(err, bufio.ErrBufferFull) {
			m.tooLong = true
			continue
		}
		if err != nil {
			return m, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0 && len(m.lines) == 0 && !m.tooLong:
		case len(line) == 0:
			return m, nil
		case len(m.lines) == lineCount:
			m.tooMany = true
		default:
			key, value, _ := strings.Cut(string(line), ":")
			m.lines = append(m.lines, [2]string{key, strings.TrimLeft(value, " \t")})
		}
	}
}

// handle answers a message; an error ends the session.
func (s *session) handle(m request) error {
	name := m.get("Action")
	switch {
	case m.tooLong:
		s.sim.count(func(c *Stats) { c.Overlong++ })
		return s.answer(failed(m, "Failed to parse message: line too long"))
	case m.tooMany:
		return s.answer(failed(m, "Too many lines in message or allocation failure"))
	case name == "":
		return s.answer(failed(m, "Missing action in request"))
	case strings.EqualFold(name, "Challenge"), strings.EqualFold(name, "Login"):
		return s.signIn(m, name)
	case strings.EqualFold(name, "Logoff"):
		_ = s.answer(response(m, "Goodbye", "Message: Thanks for all the fish."))
		return net.ErrClosed
	case !s.signedIn.Load():
		return s.answer(failed(m, "Permission denied"))
	}
	s.sim.count(func(c *Stats) { c.Actions++ })
	if work := s.sim.config.Work; work > 0 {
		for began := time.Now(); time.Since(began) < work; {
			continue // which is what being busy is
		}
	}
	a, ok := actions[strings.ToLower(name)]
	if !ok || a.name == "VoicemailUsersList" && s.sim.config.NoMail {
		return s.answer(failed(m, "Invalid/unknown command: "+name+". Use Action: ListCommands to show available commands."))
	}
	fault, cleared := s.sim.faults.Take(func(f Fault) bool { return f.meets(a.name, a.write) })
	if a.rights != 0 && a.rights&s.sim.write == 0 || fault.Kind == Deny {
		return s.answer(failed(m, "Permission denied"))
	}
	return s.misbehave(fault, cleared, m, a)
}

// misbehave does an action, or what is wrong today.
func (s *session) misbehave(fault Fault, cleared <-chan struct{}, m request, a action) error {
	do := func() string {
		text := a.do(s.sim, m)
		if s.sim.config.Interleave {
			text = noise + strings.ReplaceAll(text, "\r\n\r\n", "\r\n\r\n"+noise)
		}
		return text
	}
	switch fault.Kind {
	case ShuttingDown:
		return s.answer(failed(m, "Asterisk is shutting down"))
	case Refuse:
		return s.answer(failed(m, fault.Text))
	case Hang:
		s.wait(cleared, 0)
		return nil
	case LostAnswer:
		do()
		return net.ErrClosed
	case Garbage:
		return s.answer("<html><body>It works!</body></html>\r\n\r\n")
	case Huge:
		return s.answer("Event: Flood\r\nText: " + strings.Repeat("a", 1<<20) + "\r\n\r\n")
	case Truncated:
		text := do()
		_ = s.answer(text[:len(text)/2])
		return net.ErrClosed
	case Endless:
		return s.answer(strings.ReplaceAll(do(), "EventList: Complete", "EventList: cancelled"))
	case Stranger:
		return s.answer("Response: Success\r\nActionID: 1\r\nMessage: Not yours\r\n\r\nResponse: Error\r\nMessage: Nobody's\r\n\r\n" +
			"Event: DBGetResponse\r\nActionID: 2\r\nVal: YES\r\n\r\n" + do())
	case Hollow:
		return s.answer(response(m, "Success", ""))
	case Slow:
		s.wait(cleared, fault.Delay)
	case Forget:
		return s.answer(response(m, "Success", "Message: Updated database successfully"))
	case Odd:
		return s.answer("Event: Newexten\r\nAppData: caf\xe9\r\n\xff\xfe\x00\r\nno colon here\r\n: \r\n\r\n" + do())
	}
	return s.answer(do())
}

// wait waits for delay, or the end of faults (0: for that alone).
func (s *session) wait(cleared <-chan struct{}, delay time.Duration) {
	var due <-chan time.Time
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-cleared:
	case <-due:
	}
}

// noise is an event that belongs to nobody's action.
const noise = "Event: Newstate\r\nPrivilege: call,all\r\nChannel: PJSIP/trunk-00000001\r\nChannelStateDesc: Up\r\n\r\n"

// signIn is Challenge and Login.
func (s *session) signIn(m request, name string) error {
	if strings.EqualFold(name, "Challenge") {
		if !strings.EqualFold(m.get("AuthType"), "MD5") {
			return s.answer(failed(m, "Must specify AuthType"))
		}
		if s.challenge == "" {
			s.challenge = strconv.Itoa(100_000_000 + rand.IntN(900_000_000))
		}
		return s.answer(response(m, "Success", "Challenge: "+s.challenge))
	}
	config := s.sim.config
	if config.One && s.sim.inUse() {
		_ = s.answer(failed(m, "Login Already In Use"))
		return net.ErrClosed
	}
	digest := md5.Sum([]byte(s.challenge + config.Secret.Reveal()))
	if m.get("Username") != config.Username || s.challenge == "" || m.get("Key") != hex.EncodeToString(digest[:]) {
		s.sim.count(func(c *Stats) { c.Refused++ })
		_ = s.answer(failed(m, "Authentication failed"))
		return net.ErrClosed
	}
	s.signedIn.Store(true)
	s.sim.count(func(c *Stats) { c.SignIns++ })
	text, told := response(m, "Success", "Message: Authentication accepted"), s.sim.read&wanted(m.get("Events"))
	if told&classes("system") != 0 {
		text += "Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\nUptime: 7\r\nLastReload: 7\r\n\r\n"
	}
	return s.welcome(text, told)
}

// welcome sends what a session hears first. Whatever happens once it is heard is told, and
// nothing comes before it.
func (s *session) welcome(text string, told class) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.events.Store(uint32(told))
	if _, err := s.out.WriteString(text); err != nil {
		return err
	}
	return s.out.Flush()
}

// inUse says whether somebody is signed in.
func (s *Sim) inUse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.signedIn.Load() {
			return true
		}
	}
	return false
}

func (s *Sim) count(add func(*Stats)) {
	s.state.Lock()
	defer s.state.Unlock()
	add(&s.stats)
}

// response is the head of an answer and, if line is not empty, that line.
func response(m request, word, line string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Response: %s\r\n", word)
	if id := m.get("ActionID"); id != "" {
		fmt.Fprintf(&b, "ActionID: %s\r\n", id)
	}
	if line != "" {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

func failed(m request, why string) string { return response(m, "Error", "Message: "+why) }

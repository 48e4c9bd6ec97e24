package freeswitchsim

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// writePatience is how long a peer may refuse to read before it is cut off.
const writePatience = 20 * time.Second

// peer is one connection.
type peer struct {
	sim  *Sim
	conn net.Conn
	in   *bufio.Reader
	down <-chan struct{}

	mu     sync.Mutex // guards the following, and that one frame is written at a time
	events map[string]bool
	jobs   sync.WaitGroup
}

func newPeer(s *Sim, conn net.Conn, down <-chan struct{}) *peer {
	return &peer{sim: s, conn: conn, in: bufio.NewReader(conn), down: down, events: make(map[string]bool)}
}

// request is a command as it was read: its line and its headers, names as written.
type request struct {
	line    string
	headers map[string]string
}

// read reads a command.
func (p *peer) read() (r request, err error) {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return r, err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" && r.line == "":
		case line == "":
			return r, nil
		case r.line == "":
			r.line = line
		default:
			if r.headers == nil {
				r.headers = make(map[string]string)
			}
			name, value, _ := strings.Cut(line, ":")
			r.headers[name] = strings.TrimSpace(value)
		}
	}
}

// write sends bytes as they are.
func (p *peer) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := p.conn.Write([]byte(text)); err != nil {
		_ = p.conn.Close()
	}
}

func (p *peer) reply(text string) {
	p.write("Content-Type: command/reply\nReply-Text: " + text + "\n\n")
}

// response answers an api command. Nothing is what FreeSWITCH calls no reply.
func (p *peer) response(text string) {
	if text == "" {
		text = "-ERR no reply\n"
	}
	p.write(fmt.Sprintf("Content-Type: api/response\nContent-Length: %d\n\n%s", len(text), text))
}

// hears says whether somebody asked for an event.
func (p *peer) hears(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events[name] || p.events["ALL"]
}

// event tells an event.
func (p *peer) event(name string, headers map[string]string) {
	all := map[string]string{"Event-Name": name, "Core-UUID": "2379c0b2-d1a9-465b-bdc6-ca55275591fb", "FreeSWITCH-Hostname": "pbx", "Event-Calling-Line-Number": "1"}
	maps.Copy(all, headers)
	body := object(all)
	p.write(fmt.Sprintf("Content-Length: %d\nContent-Type: text/event-json\n\n%s", len(body), body))
}

// object is JSON as cJSON prints it: what is no ASCII stays as it is, whatever its charset.
func object(all map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(all)) {
		b.WriteByte("{,"[min(i, 1)])
		quote(&b, name)
		b.WriteByte(':')
		quote(&b, all[name])
	}
	b.WriteByte('}')
	return b.String()
}

func quote(b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, c := range []byte(text) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ':
			fmt.Fprintf(b, "\\u%04x", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// serve speaks with a peer until it leaves.
func (p *peer) serve() {
	defer p.jobs.Wait()
	if p.sim.config.Forbidden {
		const text = "Access Denied, go away.\n"
		p.write(fmt.Sprintf("Content-Type: text/rude-rejection\nContent-Length: %d\n\n%s", len(text), text))
		return
	}
	p.write("Content-Type: auth/request\n\n")
	if !p.login() {
		return
	}
	for {
		r, err := p.read()
		if err != nil || !p.obey(r) {
			return
		}
	}
}

// login reads the password. One wrong one is the end.
func (p *peer) login() bool {
	r, err := p.read()
	if err != nil {
		return false
	}
	p.sim.count(func(s *Stats) { s.SignIns++ })
	right := "auth " + p.sim.config.Password.Reveal()
	if p.sim.config.User != "" {
		right = "userauth " + p.sim.config.User + ":" + p.sim.config.Password.Reveal()
	}
	if r.line != right {
		p.reply("-ERR invalid")
		p.leave()
		return false
	}
	p.reply("+OK accepted")
	return true
}

// leave says good-bye.
func (p *peer) leave() {
	const text = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
	p.write(fmt.Sprintf("Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%s", len(text), text))
}

// obey does a command, or what is wrong today. false ends the connection.
func (p *peer) obey(r request) bool {
	verb, rest, _ := strings.Cut(r.line, " ")
	switch verb {
	case "exit":
		p.reply("+OK bye")
		p.leave()
		return false
	case "event":
		names := strings.Fields(rest)
		if len(names) < 2 {
			p.reply("-ERR no keywords supplied")
			return true
		}
		p.mu.Lock()
		for _, name := range names[1:] {
			p.events[name] = true
		}
		p.mu.Unlock()
		p.reply("+OK event listener enabled " + names[0])
		return true
	case "api", "bgapi", "sendevent":
		p.sim.arrived(r.line)
		return p.sim.faults.apply(p, r, func(say bool) { p.do(r, verb, rest, say) })
	}
	p.sim.arrived(r.line)
	p.reply("-ERR command not found")
	return true
}

// do does a command, and answers it if say.
func (p *peer) do(r request, verb, rest string, say bool) {
	answer := func(how func(string), text string) {
		if say {
			how(text)
		}
	}
	switch verb {
	case "api":
		answer(p.response, p.sim.api(rest))
	case "sendevent":
		p.sim.sent(rest, r.headers)
		answer(p.reply, "+OK 4c6d2a53-8a58-4d44-a5a0-9ac1a3e5e5b6")
	case "bgapi":
		id := r.headers["Job-UUID"]
		answer(p.reply, "+OK Job-UUID: "+id+"\nJob-UUID: "+id)
		p.jobs.Go(func() {
			if !p.sim.faults.late(p, r) {
				return
			}
			result := p.sim.api(rest)
			if say && p.hears("BACKGROUND_JOB") {
				p.event("BACKGROUND_JOB", map[string]string{"Job-UUID": id, "Job-Command": rest, "_body": result})
			}
		})
	}
}

package freeswitch

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/pbx/pbxbench"
)

// BenchmarkStatusWrites writes statuses to a simulated FreeSWITCH: each is a hash insert
// and a PRESENCE_IN. The floor is the same frames over a bare connection.
func BenchmarkStatusWrites(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			sim := start(b, freeswitchsim.Config{Extensions: 200})
			d := open(b, sim, Config{})
			numbers := sim.Numbers()
			d.link.learnAll(numbers)
			bare := newFloor(b, sim, d.config, numbers, inFlight)
			pbxbench.Writes(b, pbxbench.Writing{
				Driver: d, Extensions: numbers, Statuses: presence.Statuses(), InFlight: inFlight, Turn: 200,
				Floor: func(n int) { bare.write(b, n) },
			})
		})
	}
}

// BenchmarkMemory is of ten FreeSWITCHes of 2,000 users.
func BenchmarkMemory(b *testing.B) {
	var sims []*freeswitchsim.Sim
	for range pbxbench.Systems {
		sims = append(sims, start(b, freeswitchsim.Config{Extensions: pbxbench.Extensions}))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return open(b, sims[i], Config{Beat: pbx.WatchBeat}) }, nil)
}

// floor is a bare connection that sends the frames of writes.
type floor struct {
	conn     net.Conn
	in       *bufio.Reader
	frames   [][]byte
	inFlight int
}

func newFloor(b *testing.B, sim *freeswitchsim.Sim, c Config, numbers []identity.Extension, inFlight int) *floor {
	conn, err := net.Dial("tcp", strings.TrimPrefix(sim.URL(), "tcp://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	f := &floor{conn: conn, in: bufio.NewReader(conn), inFlight: inFlight}
	fmt.Fprintf(conn, "auth %s\n\n", c.Password.Reveal())
	f.answer(b) // the greeting
	f.answer(b)
	for i, ext := range numbers {
		address, shown := c.address(ext), looks[presence.Statuses()[i%5]]
		state := map[bool]string{true: "confirmed", false: "terminated"}[shown.lit]
		f.frames = append(f.frames, fmt.Appendf(nil, "api hash insert/%s/%s/%s\n\nsendevent PRESENCE_IN\nproto: sip\nlogin: %s\nfrom: %s\nstatus: %s\nrpid: %s\n"+
			"event_type: presence\nalt_event_type: dialog\nevent_count: 1\nunique-id: %s\nPresence-Call-Direction: outbound\nanswer-state: %s\n\n",
			c.Realm, address, presence.Statuses()[i%5], address, address, shown.status, shown.rpid, dialogID("sip", address), state))
	}
	return f
}

// write sends the frames of n writes, inFlight of them ahead of the answers.
func (f *floor) write(b *testing.B, n int) {
	for sent, done := 0, 0; done < n; done++ {
		for sent < n && sent < done+f.inFlight {
			if _, err := f.conn.Write(f.frames[sent%len(f.frames)]); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		f.answer(b)
		f.answer(b)
	}
}

// answer reads one answer: lines to an empty one, and a body of +OK after an api/response.
func (f *floor) answer(b *testing.B) {
	body := 0
	for {
		line, err := f.in.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 1 {
			break
		}
		if text, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			body, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
		}
	}
	if _, err := f.in.Discard(body); err != nil {
		b.Fatal(err)
	}
}

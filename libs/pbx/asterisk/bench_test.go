package asterisk

import (
	"bufio"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/pbx/pbxbench"
)

// BenchmarkStatusWrites writes statuses to a simulated Asterisk. The floor is the same
// frames, from one connection that reads as far as the ends of messages and looks at
// nothing. The simulator answers at once; a real Asterisk on such a machine takes about
// 13,000 actions a second one by one and 41,000 in a pipeline, so there is a row with
// 50 µs of work for each action as well.
func BenchmarkStatusWrites(b *testing.B) {
	for _, profile := range []struct {
		name   string
		config Config
		work   time.Duration
	}{
		{"1 action", Config{NoLamps: true}, 0},
		{"3 actions", Config{}, 0},
		{"1 action of 50 µs", Config{NoLamps: true}, 50 * time.Microsecond},
	} {
		for _, inFlight := range []int{1, 16} {
			for _, secured := range []bool{false, true} {
				transport := map[bool]string{false: "TCP", true: "TLS"}[secured]
				b.Run(fmt.Sprintf("%s/%s/%d in flight", profile.name, transport, inFlight), func(b *testing.B) {
					statusWrites(b, profile.config, asterisksim.Config{Extensions: 64, Work: profile.work}, inFlight, secured)
				})
			}
		}
	}
}

func statusWrites(b *testing.B, config Config, simulated asterisksim.Config, inFlight int, secured bool) {
	if secured {
		simulated.Authority = authority
	}
	sim, err := asterisksim.Start(simulated)
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	d := open(b, sim, config)
	warm(b, d)
	w := pbxbench.Writing{Driver: d, Extensions: numbers(simulated.Extensions), InFlight: inFlight, Turn: 500}
	bare := newBare(b, sim, d, secured)
	w.Floor = func(n int) { bare.write(b, n, inFlight) }
	pbxbench.Writes(b, w)
}

// bare is a session with nothing around it.
type bare struct {
	conn   net.Conn
	in     *bufio.Reader
	places places
	frames [128][][]byte // of writes: those that are sent one after the other
}

func newBare(b *testing.B, sim *asterisksim.Sim, d *Driver, secured bool) *bare {
	b.Helper()
	conn, err := net.Dial("tcp", sim.Address())
	if err != nil {
		b.Fatal(err)
	}
	if secured {
		conn = tls.Client(conn, &tls.Config{ServerName: "127.0.0.1", RootCAs: authority.Pool()})
	}
	b.Cleanup(func() { conn.Close() })
	f := &bare{conn: conn, in: bufio.NewReaderSize(conn, 32<<10), places: d.places}
	if _, err := f.in.ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(conn, "Action: Challenge\r\nAuthType: MD5\r\n\r\n")
	_, challenge, _ := strings.Cut(f.message(b), "Challenge: ")
	username, password := sim.Credentials()
	digest := md5.Sum([]byte(strings.TrimRight(challenge, "\r\n") + password.Reveal()))
	fmt.Fprintf(conn, "Action: Login\r\nAuthType: MD5\r\nUsername: %s\r\nKey: %s\r\nEvents: off\r\n\r\n", username, hex.EncodeToString(digest[:]))
	if text := f.message(b); !strings.Contains(text, "Success") {
		b.Fatal(text)
	}
	for i := range f.frames {
		ext, status := identity.Extension(strconv.Itoa(200+i%64)), presence.DND
		if i >= 64 { // so that each write is a change
			status = presence.Available
		}
		for _, a := range f.places.writes(ext, []string{string(ext)}, status) {
			f.frames[i] = append(f.frames[i], a.Frame("ABCDEFGHIJKLMNOPQRSTUVWXYZ-1z141"))
		}
	}
	return f
}

// message reads up to an empty line.
func (f *bare) message(b *testing.B) string {
	var text strings.Builder
	for {
		line, err := f.in.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 2 {
			return text.String()
		}
		text.Write(line)
	}
}

// skip reads n messages.
func (f *bare) skip(b *testing.B, n int) {
	for n > 0 {
		line, err := f.in.ReadSlice('\n')
		if err != nil {
			b.Error(err)
			return
		}
		if len(line) == 2 {
			n--
		}
	}
}

// write makes n writes, so many at a time.
func (f *bare) write(b *testing.B, n, inFlight int) {
	if inFlight == 1 {
		f.oneByOne(b, n)
		return
	}
	f.callers(b, n, inFlight)
}

// oneByOne has the answer to the first frame of a write before the others leave, together,
// as the driver does it.
func (f *bare) oneByOne(b *testing.B, n int) {
	for i := range n {
		frames := f.frames[i%len(f.frames)]
		f.send(b, frames[0])
		f.skip(b, 1)
		if rest := frames[1:]; len(rest) > 0 {
			f.send(b, slices.Concat(rest...))
			f.skip(b, len(rest))
		}
	}
}

// callers are as many as there are writes under way, each of whom waits for its own
// answers, because a write ends for whoever wanted it. They share the connection by the
// least that can be: what gathers while one writes leaves at once afterwards, and answers
// are taken to belong to the frames in their order. (One goroutine that has nobody to wake
// makes three times as many: it answers nobody.)
func (f *bare) callers(b *testing.B, n, inFlight int) {
	s := &sharing{bare: f, order: make(chan chan<- struct{}, 4*inFlight)}
	var reading, writing sync.WaitGroup
	reading.Go(func() {
		for answered := range s.order {
			f.skip(b, 1)
			answered <- struct{}{}
		}
	})
	var next atomic.Int64
	for range inFlight {
		writing.Go(func() {
			answered := make(chan struct{}, 4)
			for i := int(next.Add(1)) - 1; i < n && !b.Failed(); i = int(next.Add(1)) - 1 {
				frames := f.frames[i%len(f.frames)]
				s.ask(b, frames[:1], answered)
				s.ask(b, frames[1:], answered)
			}
		})
	}
	writing.Wait()
	close(s.order)
	reading.Wait()
}

// sharing is a connection that several write to.
type sharing struct {
	*bare
	order chan chan<- struct{} // who waits for an answer, in the order of the frames

	mu   sync.Mutex // guards what follows
	out  []byte     // leaves next
	busy bool       // somebody writes
}

// ask sends frames and waits for the answer to each.
func (s *sharing) ask(b *testing.B, frames [][]byte, answered chan struct{}) {
	s.mu.Lock()
	for _, frame := range frames {
		s.out = append(s.out, frame...)
		s.order <- answered
	}
	for first := !s.busy; first && len(s.out) > 0; {
		s.busy = true
		s.mu.Unlock()
		runtime.Gosched() // whoever has just been answered asks again, and its frame leaves with this one
		s.mu.Lock()
		out := s.out
		s.out = nil
		s.mu.Unlock()
		s.send(b, out)
		s.mu.Lock()
		s.busy = false
	}
	s.mu.Unlock()
	for range frames {
		<-answered
	}
}

func (f *bare) send(b *testing.B, frames []byte) {
	if _, err := f.conn.Write(frames); err != nil {
		b.Error(err)
	}
}

// BenchmarkMemory is of ten Asterisks of 2,000 extensions.
func BenchmarkMemory(b *testing.B) {
	var sims []*asterisksim.Sim
	for range pbxbench.Systems {
		sims = append(sims, start(b, asterisksim.Config{Extensions: pbxbench.Extensions}))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return open(b, sims[i], Config{Presence: true, Beat: pbx.WatchBeat}) }, nil)
}

package asterisk

import (
	"bufio"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
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

// write makes n writes, so many at a time. One by one the first frame has its answer
// before the others leave, as the driver does it; many at a time there is always another
// write to go on with.
func (f *bare) write(b *testing.B, n, inFlight int) {
	send := func(frame []byte) {
		if _, err := f.conn.Write(frame); err != nil {
			b.Error(err)
		}
	}
	if inFlight == 1 {
		for i := range n {
			frames := f.frames[i%len(f.frames)]
			send(frames[0])
			f.skip(b, 1)
			for _, frame := range frames[1:] {
				send(frame)
			}
			f.skip(b, len(frames)-1)
		}
		return
	}
	room := make(chan struct{}, inFlight)
	var reading sync.WaitGroup
	reading.Go(func() {
		for i := range n {
			for range f.frames[i%len(f.frames)] {
				f.skip(b, 1)
				<-room
			}
		}
	})
	for i := range n {
		for _, frame := range f.frames[i%len(f.frames)] {
			room <- struct{}{}
			send(frame)
		}
	}
	reading.Wait()
}

// BenchmarkMemory is of ten Asterisks of 2,000 extensions.
func BenchmarkMemory(b *testing.B) {
	var sims []*asterisksim.Sim
	for range pbxbench.Systems {
		sims = append(sims, start(b, asterisksim.Config{Extensions: pbxbench.Extensions}))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return open(b, sims[i], Config{Presence: true, Beat: pbx.WatchBeat}) }, nil)
}

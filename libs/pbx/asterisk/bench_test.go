package asterisk

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
)

// BenchmarkStatusWrites writes statuses to a simulated Asterisk in turns of three: through
// pbx.System, through the driver alone, and the floor: the same frames, from one
// connection without any of our layers, that reads as far as the ends of messages and
// looks at nothing. Reported are writes a second of the first and the last, what part of
// the floor System and driver reach (the aim is 80 %), and how long a write through the
// System takes. The simulator answers at once; a real Asterisk on such a machine takes
// about 13,000 actions a second one by one and 41,000 in a pipeline, so there is a row
// with 50 µs of work for each action as well.
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

// turn is how many writes are made before it is the other's turn.
const turn = 2000

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
	for _, ext := range numbers(64) { // each connection's first word about somebody
		if err := d.SetStatus(b.Context(), ext, presence.Available); err != nil {
			b.Fatal(err)
		}
	}
	system, err := pbx.NewSystem("hq", d, pbx.Options{Pace: pbx.Pace{InFlight: inFlight}})
	if err != nil {
		b.Fatal(err)
	}
	defer system.Close()
	bare := newBare(b, sim, d, secured)
	var ours, alone, floor time.Duration
	latencies := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for left := b.N; left > 0; left -= turn {
		n := min(left, turn)
		began := time.Now()
		latencies = append(latencies, through(b, system, n, inFlight)...)
		ours += time.Since(began)
		began = time.Now()
		through(b, d, n, inFlight)
		alone += time.Since(began)
		began = time.Now()
		bare.write(b, n, inFlight)
		floor += time.Since(began)
	}
	b.StopTimer()
	slices.Sort(latencies)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.N)/ours.Seconds(), "writes/s")
	b.ReportMetric(float64(b.N)/floor.Seconds(), "floor/s")
	b.ReportMetric(100*floor.Seconds()/ours.Seconds(), "%floor")
	b.ReportMetric(100*floor.Seconds()/alone.Seconds(), "driver-%floor")
	b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-µs")
}

// statusOf alternates, so that each write is a change.
func statusOf(i int) presence.Status {
	if i/64%2 == 0 {
		return presence.DND
	}
	return presence.Available
}

func extensionOf(i int) identity.Extension { return identity.Extension(fmt.Sprint(200 + i%64)) }

// through makes n writes, some at a time, and returns how long each took.
func through(b *testing.B, d pbx.Driver, n, inFlight int) []time.Duration {
	took := make([]time.Duration, n)
	var writers sync.WaitGroup
	var next atomic.Int64
	for range inFlight {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := d.SetStatus(b.Context(), extensionOf(i), statusOf(i)); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	writers.Wait()
	return took
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
		for _, a := range f.places.writes(extensionOf(i), []string{string(extensionOf(i))}, statusOf(i)) {
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

// BenchmarkWatchMemory connects to ten Asterisks of 2,000 extensions and watches them. It
// reports what a connected system takes before it watches, and each extension that is
// watched, with the buffers of the sessions at both ends, for the simulators are in the
// same process.
func BenchmarkWatchMemory(b *testing.B) {
	const systems, extensions = 10, 2000
	for range b.N {
		var sims []*asterisksim.Sim
		for range systems {
			sim, err := asterisksim.Start(asterisksim.Config{Extensions: extensions})
			if err != nil {
				b.Fatal(err)
			}
			sims = append(sims, sim)
		}
		before := heap()
		var drivers []*Driver
		for _, sim := range sims {
			drivers = append(drivers, open(b, sim, Config{Presence: true, Beat: pbx.WatchBeat}))
		}
		connected := heap()
		ctx, cancel := context.WithCancel(b.Context())
		synced := make(chan struct{}, systems)
		var watches sync.WaitGroup
		for _, d := range drivers {
			watches.Go(func() {
				once := sync.OnceFunc(func() { synced <- struct{}{} })
				_ = d.Watch(ctx, func(e pbx.WatchEvent) {
					if _, ok := e.(pbx.Synced); ok {
						once()
					}
				})
			})
		}
		for range systems {
			<-synced
		}
		watched := heap()
		cancel()
		watches.Wait()
		for i, d := range drivers {
			d.Close()
			sims[i].Close()
		}
		b.ReportMetric(float64(connected-before)/systems/1024, "KiB/system")
		b.ReportMetric(float64(watched-connected)/systems/extensions, "B/extension")
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

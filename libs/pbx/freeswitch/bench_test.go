package freeswitch

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitchsim"
)

// BenchmarkStatusWrites writes statuses through pbx.System, and beside that the same
// frames over a bare connection, in turns: "ratio" is the one as a part of the other (1 is
// as fast), and "driver-ratio" that of the driver without the System around it. A write is
// a hash insert and a PRESENCE_IN.
func BenchmarkStatusWrites(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			sim := start(b, freeswitchsim.Config{Extensions: 200})
			d := open(b, sim, Config{})
			system, err := pbx.NewSystem("bench", d, pbx.Options{Pace: pbx.Pace{InFlight: inFlight}})
			if err != nil {
				b.Fatal(err)
			}
			numbers := sim.Numbers()
			d.link.learnAll(numbers)
			bare := newFloor(b, sim, d.config, numbers, inFlight)
			const slice = 500 // writes in a turn, so that both meet the same machine
			var ours, driver, floor time.Duration
			b.ResetTimer()
			for done := 0; done < b.N; done += slice {
				n := min(slice, b.N-done)
				ours += writeAll(b, system, numbers, inFlight, n)
				driver += writeAll(b, d, numbers, inFlight, n)
				floor += bare.write(b, n)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/ours.Seconds(), "writes/s")
			b.ReportMetric(float64(b.N)/floor.Seconds(), "floor/s")
			b.ReportMetric(floor.Seconds()/ours.Seconds(), "ratio")
			b.ReportMetric(floor.Seconds()/driver.Seconds(), "driver-ratio")
		})
	}
}

// writeAll writes n statuses, inFlight at a time.
func writeAll(b *testing.B, system pbx.Driver, numbers []identity.Extension, inFlight, n int) time.Duration {
	var next atomic.Int64
	var writers sync.WaitGroup
	began := time.Now()
	for range inFlight {
		writers.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := system.SetStatus(b.Context(), numbers[i%len(numbers)], presence.Statuses()[i%5]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	return time.Since(began)
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
func (f *floor) write(b *testing.B, n int) time.Duration {
	began := time.Now()
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
	return time.Since(began)
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

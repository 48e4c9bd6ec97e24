package freeswitch

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
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
	"offhook.dev/libs/pbx/freeswitchsim"
)

// BenchmarkStatusWrites writes statuses through pbx.System, and beside that the same
// frames over a bare connection, in turns: "ratio" is the one as a part of the other (1 is
// as fast), and "driver-ratio" that of the driver without the System around it. A write is
// a hash insert and a PRESENCE_IN. All are medians over the turns, so that a machine that
// is busy with something else for a moment does not count.
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
			const slice = 200 // writes in a turn
			var ours, driver, floor, latencies []float64
			b.ResetTimer()
			for done := 0; done < b.N; done += slice {
				took, each := writeAll(b, system, numbers, inFlight, slice)
				alone, _ := writeAll(b, d, numbers, inFlight, slice)
				ours, driver = append(ours, slice/took.Seconds()), append(driver, slice/alone.Seconds())
				floor, latencies = append(floor, slice/bare.write(b, slice).Seconds()), append(latencies, each...)
			}
			b.StopTimer()
			b.ReportMetric(0, "ns/op") // of three ways and whole turns: it would say nothing
			b.ReportMetric(quantile(ours, 0.5), "writes/s")
			b.ReportMetric(quantile(floor, 0.5), "floor/s")
			b.ReportMetric(quantile(ours, 0.5)/quantile(floor, 0.5), "ratio")
			b.ReportMetric(quantile(driver, 0.5)/quantile(floor, 0.5), "driver-ratio")
			b.ReportMetric(quantile(latencies, 0.5), "p50-µs")
			b.ReportMetric(quantile(latencies, 0.99), "p99-µs")
		})
	}
}

// quantile is the part q of some figures.
func quantile(figures []float64, q float64) float64 {
	slices.Sort(figures)
	return figures[int(q*float64(len(figures)-1))]
}

// writeAll writes n statuses, inFlight at a time, and says how long it took and each of
// them, in microseconds.
func writeAll(b *testing.B, system pbx.Driver, numbers []identity.Extension, inFlight, n int) (time.Duration, []float64) {
	var next atomic.Int64
	var writers sync.WaitGroup
	each := make([]float64, n)
	began := time.Now()
	for range inFlight {
		writers.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				sent := time.Now()
				if err := system.SetStatus(b.Context(), numbers[i%len(numbers)], presence.Statuses()[i%5]); err != nil {
					b.Error(err)
					return
				}
				each[i-1] = float64(time.Since(sent).Microseconds())
			}
		})
	}
	writers.Wait()
	return time.Since(began), each
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

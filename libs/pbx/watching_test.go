package pbx_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

func TestAfterEachConnectionTheWholeTruthIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lose := make(chan struct{})
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, n int, sink pbx.Sink) error {
			if n == 1 {
				tell(sink, calls("200", 1), pbx.Synced{})
				<-lose
				return errGone
			}
			tell(sink, calls("202", 2), pbx.StatusEvent{Extension: "202", Status: presence.DND}, pbx.Synced{})
			return on(ctx, sink)
		})
		j := newJournal()
		stop := watch(t, s, j.hear)
		synctest.Wait()
		if c := s.Calls(); !c.Live || c.Err != nil || !maps.Equal(c.Active, map[identity.Extension]int{"200": 1}) || !c.Confirmed.Equal(time.Now()) {
			t.Errorf("the table is %+v", c)
		}
		close(lose)
		synctest.Wait()
		if c := s.Calls(); c.Live || !errors.Is(c.Err, errGone) || c.Active["200"] != 1 {
			t.Errorf("after the loss the table is %+v", c)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if c := s.Calls(); !c.Live || !maps.Equal(c.Active, map[identity.Extension]int{"202": 2}) {
			t.Errorf("after the second connection the table is %+v", c)
		}
		got := j.text()
		head, tail, _ := strings.Cut(got, "Down")
		if head != "200:1 Synced " || !strings.HasSuffix(tail, "202=dnd Synced") || !strings.Contains(tail, "200:0") || !strings.Contains(tail, "202:2") {
			t.Errorf("told was %q", got)
		}
		if err := stop(); fault.KindOf(err) != fault.Cancelled {
			t.Errorf("it ended with %v", err)
		}
		if c := s.Calls(); c.Live || c.Err == nil {
			t.Errorf("nobody watches any more, and the table is %+v", c)
		}
	})
}

func TestACallThatWentOnIsToldAgainAfterEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, n int, sink pbx.Sink) error {
			tell(sink, calls("200", 1), pbx.Synced{}, calls("200", 1)) // the last is no news
			if n == 1 {
				time.Sleep(time.Second)
				return errGone
			}
			return on(ctx, sink)
		})
		j := newJournal()
		stop := watch(t, s, j.hear)
		time.Sleep(10 * time.Second)
		if got := j.text(); got != "200:1 Synced Down 200:1 Synced" {
			t.Errorf("told was %q", got)
		}
		_ = stop()
	})
}

func TestHowOftenItConnectsAgain(t *testing.T) {
	for _, c := range []struct {
		name         string
		err          error
		least, most  int           // attempts in ten minutes
		first, apart time.Duration // at the least: until the second attempt, between late ones
	}{
		{"the line is dead", errGone, 15, 40, 0, 15 * time.Second},
		{"a person must act", fault.New(fault.Denied, "scripted", nil), 10, 11, time.Minute, time.Minute},
		{"it asks for patience", fault.After(fault.Throttled, "scripted", 3*time.Minute, nil), 4, 4, 3 * time.Minute, 3 * time.Minute},
		{"the driver gives no reason", nil, 15, 40, 0, 15 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := script(t, pbx.Options{}, func(context.Context, int, pbx.Sink) error { return c.err })
				j := newJournal()
				stop := watch(t, s, j.hear)
				time.Sleep(10 * time.Minute)
				_ = stop()
				at := d.attempts()
				if n := len(at); n < c.least || n > c.most {
					t.Fatalf("%d attempts in ten minutes", n)
				}
				if wait := at[1].Sub(at[0]); wait < c.first || wait > max(c.first, time.Second) {
					t.Errorf("the second attempt was after %v", wait)
				}
				if wait := at[len(at)-1].Sub(at[len(at)-2]); wait < c.apart {
					t.Errorf("the last two are %v apart", wait)
				}
				if got := j.text(); got != "Down" {
					t.Errorf("told was %q", got)
				}
			})
		})
	}
}

// What lived for a while and is lost is connected to at once; what is lost again and
// again is not, although each connection is good.
func TestALossAfterALongTimeIsTheFirstOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		lives time.Duration
		most  int // attempts in an hour
	}{
		{"two take the connection from each other", 100 * time.Millisecond, 260},
		{"it is lost every ten minutes", 10 * time.Minute, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
					ctx, cancel := context.WithTimeout(ctx, c.lives)
					defer cancel()
					sink(pbx.Synced{})
					_ = on(ctx, sink)
					return errGone
				})
				stop := watch(t, s, newJournal().hear)
				time.Sleep(time.Hour)
				_ = stop()
				at := d.attempts()
				if n := len(at); n < 6 || n > c.most {
					t.Errorf("%d attempts in an hour", n)
				}
				if wait := at[3].Sub(at[2]) - c.lives; c.lives > time.Minute && wait > time.Second {
					t.Errorf("it waited %v after a long life", wait)
				}
			})
		})
	}
}

func TestAWatchThatSaysNothingIsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name   string
		synced bool
		after  time.Duration // when it is given up
	}{
		{"and never has", false, 30 * time.Second},
		{"any more", true, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
					if c.synced {
						sink(pbx.Synced{})
					}
					<-ctx.Done()
					return ctx.Err()
				})
				j := newJournal()
				stop := watch(t, s, j.hear)
				time.Sleep(c.after - time.Second)
				if _, live := s.Live(); live != c.synced || len(d.attempts()) != 1 {
					t.Errorf("before its time is over: live %v, %d attempts", live, len(d.attempts()))
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if c := s.Calls(); c.Live || fault.KindOf(c.Err) != fault.Unavailable {
					t.Errorf("after it: %+v", c)
				}
				if got := j.text(); !strings.HasSuffix(got, "Down") {
					t.Errorf("told was %q", got)
				}
				_ = stop()
			})
		})
	}
}

func TestASlowReaderHearsTheNewestOfEachExtensionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
			sink(pbx.Synced{})
			sink(calls("200", 1))
			time.Sleep(time.Millisecond) // the reader has begun: with that, and not with one of the next
			for i := range 1000 {
				tell(sink, calls("200", 1+i%3), calls("201", i%2), pbx.StatusEvent{Extension: "200", Status: presence.Statuses()[i%5]})
			}
			tell(sink, calls("200", 7), calls("201", 0), pbx.StatusEvent{Extension: "200", Status: presence.Lunch})
			return on(ctx, sink)
		})
		j := newJournal()
		stop := watch(t, s, func(e pbx.WatchEvent) {
			time.Sleep(5 * time.Second)
			j.hear(e)
		})
		time.Sleep(time.Minute + time.Second)
		_ = stop()
		got := j.text()
		if n := len(strings.Fields(got)); n > 8 || !strings.Contains(got, "200:7") || !strings.Contains(got, "200=lunch") || strings.Contains(got, "201:1") {
			t.Errorf("told was %q", got)
		}
	})
}

func TestASlowReaderIsNotToldThatALostConnectionIsInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, n int, sink pbx.Sink) error {
			if n > 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			sink(calls("200", 1))
			time.Sleep(time.Millisecond) // the reader has begun
			sink(pbx.Synced{})
			return errGone
		})
		j := newJournal()
		stop := watch(t, s, func(e pbx.WatchEvent) {
			time.Sleep(time.Second)
			j.hear(e)
		})
		time.Sleep(10 * time.Second)
		if got := j.text(); got != "200:1 Down" {
			t.Errorf("told was %q", got)
		}
		_ = stop()
	})
}

// It would take for confirmed by the new connection what it knows of the lost one.
func TestAWatchIsNotLiveBeforeASlowReaderKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := script(t, pbx.Options{}, func(ctx context.Context, n int, sink pbx.Sink) error {
			if n == 1 {
				tell(sink, calls("200", 1), pbx.Synced{})
				time.Sleep(time.Second)
				return errGone
			}
			sink(pbx.Synced{}) // the call is over
			return on(ctx, sink)
		})
		j := newJournal()
		stop := watch(t, s, func(e pbx.WatchEvent) {
			if _, lost := e.(pbx.Down); lost {
				time.Sleep(5 * time.Second) // the next connection is there before this is heard
				if _, live := s.Live(); live || len(d.attempts()) != 2 {
					t.Errorf("%d connections, live %v", len(d.attempts()), live)
				}
			}
			j.hear(e)
		})
		time.Sleep(10 * time.Second)
		if _, live := s.Live(); !live || len(j.calls) != 0 {
			t.Errorf("live %v, told was %q", live, j.text())
		}
		_ = stop()
	})
}

func TestOneWatchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
			tell(sink, calls("200", 1), pbx.Synced{})
			return on(ctx, sink)
		})
		stop := watch(t, s, newJournal().hear)
		synctest.Wait()
		if err := s.Watch(t.Context(), newJournal().hear); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second one: %v", err)
		}
		_ = stop()
		j := newJournal()
		stop = watch(t, s, j.hear)
		synctest.Wait()
		if got := j.text(); got != "200:1 Synced" {
			t.Errorf("the next one was told %q", got)
		}
		_ = stop()
	})
}

func TestClosingASystemEndsItsWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
			sink(pbx.Synced{})
			return on(ctx, sink)
		})
		ended := make(chan error, 1)
		go func() { ended <- s.Watch(t.Context(), newJournal().hear) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("it ended with %v", err)
		}
	})
}

// To the breaker a watch that is refused is a phone system that is away, one that is
// synced is one that is there, and one that ends for other reasons says nothing.
func TestTheWatchAndTheBreaker(t *testing.T) {
	refused := fault.New(fault.Unavailable, "scripted", pbx.ErrRefused)
	for _, c := range []struct {
		name   string
		err    error
		passes bool // whether a request does afterwards
	}{
		{"refused", refused, false},
		{"ended", errGone, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := script(t, pbx.Options{}, func(context.Context, int, pbx.Sink) error { return c.err })
				stop := watch(t, s, newJournal().hear)
				for len(d.attempts()) < 5 { // after which the breaker opens for a while
					time.Sleep(10 * time.Millisecond)
				}
				synctest.Wait()
				_, err := s.Status(t.Context(), "200")
				if (err == nil) != c.passes {
					t.Errorf("a request: %v", err)
				}
				_ = stop()
			})
		})
	}
	t.Run("synced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := script(t, pbx.Options{}, func(ctx context.Context, n int, sink pbx.Sink) error {
				if n <= 5 {
					return refused
				}
				sink(pbx.Synced{})
				return on(ctx, sink)
			})
			stop := watch(t, s, newJournal().hear)
			time.Sleep(20 * time.Second)
			if _, err := s.Status(t.Context(), "200"); err != nil || s.Generation() != 1 {
				t.Errorf("a request: %v, generation %d", err, s.Generation())
			}
			_ = stop()
		})
	})
}

func TestAWatchIsCounted(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(pbx.Scope)
	synctest.Test(t, func(t *testing.T) {
		lose := make(chan struct{})
		s, _ := script(t, pbx.Options{Meter: meter}, func(ctx context.Context, n int, sink pbx.Sink) error {
			if n > 1 {
				return errGone
			}
			tell(sink, calls("200", 1), calls("201", 2), pbx.Synced{})
			<-lose
			return errGone
		})
		stop := watch(t, s, newJournal().hear)
		synctest.Wait()
		if live, lines := gauge(t, reader, "offhook_pbx_watch_live"), gauge(t, reader, "offhook_pbx_lines_in_calls"); live != 1 || lines != 2 {
			t.Errorf("live %d, %d lines in calls", live, lines)
		}
		close(lose)
		synctest.Wait()
		if live, lines := gauge(t, reader, "offhook_pbx_watch_live"), gauge(t, reader, "offhook_pbx_lines_in_calls"); live != 0 || lines != 0 {
			t.Errorf("after the loss: live %d, %d lines in calls", live, lines)
		}
		_ = stop()
	})
	told := map[string]int64{}
	for _, p := range metricNamed(t, reader, "offhook_pbx_watch_events").(metricdata.Sum[int64]).DataPoints {
		kind, _ := p.Attributes.Value(attribute.Key("kind"))
		told[kind.AsString()] = p.Value
	}
	if want := map[string]int64{"call": 2, "synced": 1, "down": 1}; !maps.Equal(told, want) {
		t.Errorf("told were %v, want %v", told, want)
	}
}

func gauge(t *testing.T, reader sdkmetric.Reader, name string) int64 {
	t.Helper()
	points := metricNamed(t, reader, name).(metricdata.Gauge[int64]).DataPoints
	if len(points) != 1 {
		t.Fatalf("%s has %d values", name, len(points))
	}
	return points[0].Value
}

func metricNamed(t *testing.T, reader sdkmetric.Reader, name string) metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	t.Fatalf("there is no metric %s", name)
	return nil
}

// Whatever happens on the line, while nobody watches, and however slow the reader is:
// when it is over, what the reader has put together is the truth.
func TestRandomHistoriesEndInTheTruth(t *testing.T) {
	for seed := range uint64(200) {
		history(t, seed)
	}
}

func history(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		dice := rand.New(rand.NewPCG(seed, 1))
		var mu sync.Mutex
		truth := make(map[identity.Extension]int) // guarded by mu, and so is what follows
		rest := false
		s, _ := script(t, pbx.Options{}, func(ctx context.Context, _ int, sink pbx.Sink) error {
			mu.Lock()
			snapshot := maps.Clone(truth)
			quiet, events := rest, dice.IntN(20)
			mu.Unlock()
			for ext, n := range snapshot {
				sink(calls(ext, n))
			}
			if !quiet && events%5 == 0 {
				return errGone // in the middle of the snapshot, for all anybody knows
			}
			sink(pbx.Synced{})
			for i := 0; i < events && !quiet; i++ {
				mu.Lock()
				ext, n, pause := identity.Extension(fmt.Sprint(200+dice.IntN(5))), dice.IntN(3), time.Duration(dice.Int64N(int64(2*time.Second)))
				if truth[ext] = n; n == 0 {
					delete(truth, ext)
				}
				mu.Unlock()
				sink(calls(ext, n))
				time.Sleep(pause)
			}
			if quiet {
				return on(ctx, sink)
			}
			mu.Lock() // what changes while nobody watches
			clear(truth)
			if ext := identity.Extension(fmt.Sprint(200 + dice.IntN(5))); events%2 == 0 {
				truth[ext] = 1 + dice.IntN(2)
			}
			mu.Unlock()
			return errGone
		})
		j := newJournal()
		lazy := rand.New(rand.NewPCG(seed, 2))
		stop := watch(t, s, func(e pbx.WatchEvent) {
			time.Sleep(time.Duration(lazy.Int64N(int64(3 * time.Second))))
			j.hear(e)
		})
		time.Sleep(3 * time.Minute)
		mu.Lock()
		rest = true
		mu.Unlock()
		time.Sleep(3 * time.Minute)
		if j.mu.Lock(); !j.live || !maps.Equal(j.calls, truth) || !maps.Equal(s.Calls().Active, truth) {
			t.Errorf("seed %d: heard %v (live %v), the table is %v, the truth %v: %v", seed, j.calls, j.live, s.Calls().Active, truth, j.entries)
		}
		j.mu.Unlock()
		_ = stop()
	})
}

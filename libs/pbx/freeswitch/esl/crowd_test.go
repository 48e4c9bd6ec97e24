package esl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/pbx/freeswitchsim"
)

// Callers, alone and many at a time, some of whom leave early, and jobs between them: each
// hears its own answers, with events and without, and the connection lives on.
func TestEachOfACrowdHearsItsOwnAnswers(t *testing.T) {
	for name, events := range map[string][]string{"": nil, "with events": {"HEARTBEAT"}} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			config := configFor(sim)
			config.Events = events
			c := dial(t, config)
			call := func(key string, patience time.Duration) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				replies, err := c.Do(ctx, esl.API("hash insert/offhook/"+key+"/"+key), esl.API("hash select/offhook/"+key))
				switch {
				case err == nil && string(replies[1]) != key:
					t.Errorf("%s was answered with %q", key, replies[1])
				case err != nil && !errors.Is(err, context.DeadlineExceeded), err != nil && patience > time.Minute:
					t.Errorf("%s: %v", key, err)
				}
			}
			for _, callers := range []int{1, 2, 8, 1} {
				var crowd sync.WaitGroup
				for caller := range callers {
					crowd.Go(func() {
						for i := range 100 {
							patience := time.Hour
							if i%3 == 0 {
								patience = rand.N(time.Millisecond)
							}
							call(fmt.Sprintf("%d-%d", caller, i), patience)
							if i%25 == 0 {
								if _, err := c.Job(t.Context(), "status"); err != nil {
									t.Error(err)
								}
							}
						}
					})
				}
				crowd.Wait()
			}
			if c.Err() != nil {
				t.Errorf("the connection: %v", c.Err())
			}
		})
	}
}

// A connection that is closed, by either side, ends everybody's waiting.
func TestNobodyOfACrowdOutlivesAConnection(t *testing.T) {
	for name, closing := range map[string]func(*esl.Conn, *freeswitchsim.Sim){
		"closed by this side": func(c *esl.Conn, _ *freeswitchsim.Sim) { _ = c.Close() },
		"closed by the other": func(_ *esl.Conn, sim *freeswitchsim.Sim) { sim.Close() },
	} {
		for _, callers := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s on %d", name, callers), func(t *testing.T) {
				for range 10 {
					sim := start(t, freeswitchsim.Config{})
					config := configFor(sim)
					config.Events = nil
					c := dial(t, config)
					var crowd sync.WaitGroup
					answered := make(chan struct{}, 1)
					for range callers {
						crowd.Go(func() {
							for {
								if _, err := c.Do(t.Context(), esl.API("version")); err != nil {
									var l *esl.LostError
									if !errors.As(err, &l) {
										t.Error(err)
									}
									return
								}
								select {
								case answered <- struct{}{}:
								default:
								}
							}
						})
					}
					<-answered
					closing(c, sim)
					crowd.Wait()
				}
			})
		}
	}
}

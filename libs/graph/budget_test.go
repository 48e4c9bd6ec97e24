package graph_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
)

// limiter is a rate limiter that asks for the given waits and then admits.
type limiter struct {
	keys   []string
	limits []graph.Limit
	n      []int
	waits  []time.Duration
	err    error
}

func (l *limiter) take(_ context.Context, key string, limit graph.Limit, n int) (time.Duration, error) {
	l.keys, l.limits, l.n = append(l.keys, key), append(l.limits, limit), append(l.n, n)
	if l.err != nil || len(l.waits) == 0 {
		return 0, l.err
	}
	wait := l.waits[0]
	l.waits = l.waits[1:]
	return wait, nil
}

func TestReadersAndWritersDivideEachQuotaFourToOne(t *testing.T) {
	published := map[graph.API]graph.Limit{
		graph.APIPresence:      {Events: 1500, Per: 30 * time.Second},
		graph.APISubscriptions: {Events: 500, Per: 20 * time.Second},
		graph.APIList:          {Events: 25, Per: 20 * time.Second},
		graph.APIDirectory:     {Events: 1750, Per: 10 * time.Second}, // 3,500 units of a small tenant; a read of users costs up to 2
		graph.APIMailbox:       {Events: 130_000, Per: 10 * time.Second},
	}
	for api, quota := range published {
		reader, writer := graph.ShareReader.Limit(api), graph.ShareWriter.Limit(api)
		if reader.Per != quota.Per || writer.Per != quota.Per || reader.Events+writer.Events > quota.Events {
			t.Errorf("%s: %+v and %+v of %+v", api, reader, writer, quota)
		}
		if reader.Events != 4*writer.Events {
			t.Errorf("%s: %d and %d are not 80 to 20", api, reader.Events, writer.Events)
		}
		if writer.Burst < 1 || reader.Burst < 20 || reader.Burst > reader.Events || writer.Burst > writer.Events {
			t.Errorf("%s: bursts of %d and %d", api, reader.Burst, writer.Burst)
		}
	}
}

func TestASharesBudgetIsItsOwn(t *testing.T) {
	var l limiter
	for _, share := range []graph.Share{graph.ShareReader, graph.ShareWriter} {
		if err := graph.Pace(share, l.take).Take(t.Context(), "contoso/presence", 3); err != nil {
			t.Fatal(err)
		}
	}
	if l.keys[0] != "graph:contoso/presence" || l.keys[1] != "graph:contoso/presence:writer" {
		t.Errorf("keys %q: callers of one key must name the same limit", l.keys)
	}
	if l.limits[0] != graph.ShareReader.Limit(graph.APIPresence) || l.limits[1] != graph.ShareWriter.Limit(graph.APIPresence) || l.n[0] != 3 {
		t.Errorf("limits %v, n %v", l.limits, l.n)
	}
	if err := graph.Pace(graph.ShareWriter, l.take).Take(t.Context(), "contoso/list", 20); err != nil {
		t.Fatal(err)
	}
	if most := graph.ShareWriter.Limit(graph.APIList).Burst; l.n[2] != most {
		t.Errorf("20 of a burst of %d asks for %d, which is never admitted", most, l.n[2])
	}
}

func TestABudgetIsWaitedForOnlyWhereTheCallerCanWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{waits: []time.Duration{3 * time.Second, time.Second}}
		began := time.Now()
		if err := graph.Pace(graph.ShareReader, l.take).Take(t.Context(), "contoso/presence", 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 4*time.Second || len(l.keys) != 3 {
			t.Errorf("waited %v in %d tries", took, len(l.keys))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := graph.Pace(graph.ShareReader, (&limiter{waits: []time.Duration{time.Minute}}).take).Take(ctx, "contoso/list", 1)
		if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) != time.Minute || ctx.Err() != nil {
			t.Errorf("a wait beyond the deadline: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		err = graph.Pace(graph.ShareReader, (&limiter{waits: []time.Duration{time.Minute}}).take).Take(ctx, "contoso/list", 1)
		if fault.KindOf(err) != fault.Cancelled {
			t.Errorf("after the caller gave up: %v", err)
		}
		broken := errors.New("broken")
		if err := graph.Pace(graph.ShareReader, (&limiter{err: broken}).take).Take(t.Context(), "contoso/list", 1); !errors.Is(err, broken) {
			t.Errorf("a limiter that fails: %v", err)
		}
	})
}

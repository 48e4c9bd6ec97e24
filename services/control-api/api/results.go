package api

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// askedAtOnce is how many outcomes are asked for side by side.
const askedAtOnce = 16

// results completes some changes of a plan for extensions that is applied, or was, with
// what came of them: the newest outcome of each extension, if it is of this plan. Where
// that is still to come, or another run has done something there since, there is none.
// Plans for phonebooks have their results, since contact-sync writes them at the end.
func (s shelf) results(ctx context.Context, h plans.Head, some []plan.Change) error {
	switch h.State {
	case wire.SyncApplying, wire.SyncDone, wire.SyncBraked:
	default:
		return nil
	}
	if h.Kind != wire.SyncUsers {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askedAtOnce)
	for i := range some {
		c := &some[i]
		system, number, ok := strings.Cut(c.Line, "/")
		if !ok || !c.Op.Acts() || c.Held {
			continue
		}
		g.Go(func() error {
			m, err := s.bus.Last(ctx, topology.Outcomes, wire.ExtensionOutcomeSubject(identity.Line{System: identity.System(system), Extension: identity.Extension(number)}))
			if err != nil {
				if fault.KindOf(err) == fault.NotFound {
					return nil
				}
				return err
			}
			if o, err := wire.DecodeExtensionOutcome(m.Data); err == nil && o.Plan == h.ID && o.Person.String() == c.Object {
				c.Result = &plan.Attempt{At: o.At.UTC(), Result: string(o.Result), Detail: o.Detail}
			}
			return nil
		})
	}
	return g.Wait()
}

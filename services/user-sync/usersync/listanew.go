package usersync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// listAnew has the phone systems of tenants list their extensions and waits for it: what
// somebody changed there is not known before, and a run would leave it as it is until
// the next listing. A phone system that does not answer holds nothing up for good: late
// says of which extensions are as they were listed earlier.
func (s *Sync) listAnew(ctx context.Context, tenants []identity.Tenant) (late string, err error) {
	at := s.deps.Bus.Now()
	var waiting []identity.System
	for _, system := range slices.Sorted(maps.Keys(s.opts.Serves)) {
		serves := func(t identity.Tenant) bool { return slices.Contains(s.opts.Serves[system], t) }
		// The first listing comes by itself, and nothing is planned before it.
		if _, listed := s.facts.system(system); !listed || !slices.ContainsFunc(tenants, serves) {
			continue
		}
		subject, data := wire.InventoryWant{System: system, WantedAt: at}.Encode()
		if err := s.publish(ctx, subject, data); err != nil {
			return "", err
		}
		waiting = append(waiting, system)
	}
	enough := time.NewTimer(s.opts.Listing)
	defer enough.Stop()
	for {
		var older []string
		news := s.facts.news()
		waiting = slices.DeleteFunc(waiting, func(id identity.System) bool {
			info, _ := s.facts.system(id)
			answered := !info.ListedAt.Before(at)
			if !answered {
				older = append(older, fmt.Sprintf("phone system %s did not list its extensions now: they are as of %s", id, info.ListedAt.UTC().Format(time.RFC3339)))
			}
			return answered
		})
		if len(waiting) == 0 {
			return "", nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-news:
		case <-enough.C:
			late = strings.Join(older, "; ")
			s.deps.Log.Warn("synchronise", "late", late)
			return late, nil
		}
	}
}

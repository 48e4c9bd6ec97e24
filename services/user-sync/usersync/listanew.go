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

// listAnew has the phone systems of a tenant list their extensions, at a moment or later,
// and waits for it: what somebody changed there is not known before, and a run would leave
// it as it is until the next listing. A phone system that does not answer holds nothing up
// for good: late says of which the extensions are as they were listed earlier. With the same
// moment, one that serves several tenants lists once for all of them.
func (s *Sync) listAnew(ctx context.Context, tenant identity.Tenant, at time.Time) (late string, err error) {
	var waiting []identity.System
	for _, system := range slices.Sorted(maps.Keys(s.opts.Serves)) {
		// The first listing comes by itself, and nothing is planned before it.
		if _, listed := s.facts.system(system); !listed || !slices.Contains(s.opts.Serves[system], tenant) {
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
			s.deps.Log.Warn("synchronise", "tenant", tenant, "late", late)
			return late, nil
		}
	}
}

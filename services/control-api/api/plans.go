package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/wire"
)

// Plan is what a run would do to extensions or phonebooks, as it was when it was made.
type Plan struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Kind   string `json:"kind"` // "users" or "contacts"
	// State is "planned" or "expired", and once it is applied "applying", "done" or "braked".
	State   string    `json:"state"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"` // it cannot be applied after this
	// Basis is the revision of each thing that was looked at.
	Basis map[string]uint64 `json:"basis"`
	Brake plan.State        `json:"brake"`
	// Total counts the changes that do something and are not held back; Done has those
	// that failed too.
	Total  int `json:"total"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// Changes are left out where plans are listed.
	Changes []plan.Change `json:"changes,omitempty"`
}

// shelf reads plans from the buckets of those who make them.
type shelf struct {
	model   *model
	buckets map[wire.SyncKind]*store.Bucket
}

// everything is the limit of who wants all changes.
const everything = -1

// head returns a plan without its changes, and what is needed to read them.
func (s shelf) head(ctx context.Context, id string) (Plan, plans.Head, error) {
	unknown := problem(fault.NotFound, CodePlanUnknown, fmt.Sprintf("there is no plan %q", id), "plan",
		"list them with GET /api/v1/plans, or make one with offhook plan; a plan is kept for a day at least")
	tenant, kind, err := plans.Owner(id)
	if err != nil {
		return Plan{}, plans.Head{}, unknown
	}
	if err := (keeper{model: s.model}).configured(tenant); err != nil {
		return Plan{}, plans.Head{}, err
	}
	h, err := plans.Read(ctx, s.buckets[kind], id)
	switch {
	case err == nil && (h.Tenant != tenant || h.Kind != kind), fault.KindOf(err) == fault.NotFound && err != nil:
		return Plan{}, plans.Head{}, unknown
	case fault.KindOf(err) == fault.Invalid && err != nil:
		return Plan{}, plans.Head{}, unreadable(id)
	case err != nil:
		return Plan{}, plans.Head{}, err
	}
	return s.describe(h), h, nil
}

func unreadable(id string) error {
	return problem(fault.Conflict, CodePlanUnknown, "the plan is of a newer version of Offhook", "plan "+id, "make a new one with offhook plan")
}

// describe is a plan without its changes.
func (s shelf) describe(h plans.Head) Plan {
	p := Plan{ID: h.ID, Tenant: string(h.Tenant), Kind: string(h.Kind), State: string(h.State), Made: h.Made.UTC(), Expires: h.Expires.UTC(), Basis: h.Basis, Brake: h.Brake,
		Total: h.Total, Done: h.Done, Failed: h.Failed}
	if p.Basis == nil {
		p.Basis = map[string]uint64{}
	}
	if h.State == wire.SyncPlanned && !s.model.now().Before(h.Expires) {
		p.State = string(wire.SyncExpired)
	}
	return p
}

// list returns the plans of the configured tenants, or of one, without their changes,
// the newest first.
func (s shelf) list(ctx context.Context, tenant string) ([]Plan, error) {
	if tenant != "" {
		if _, err := (orders{model: s.model}).tenant(tenant); err != nil {
			return nil, err
		}
	}
	list := []Plan{}
	for _, bucket := range s.buckets {
		heads, err := plans.Heads(ctx, bucket)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			if _, configured := s.model.tenants[h.Tenant]; configured && (tenant == "" || h.Tenant == identity.Tenant(tenant)) {
				list = append(list, s.describe(h))
			}
		}
	}
	slices.SortFunc(list, func(a, b Plan) int { return b.Made.Compare(a.Made) })
	return list, nil
}

// changes calls do for the changes of a plan from the offset-th on and at most limit of
// them, some at a time.
func (s shelf) changes(ctx context.Context, h plans.Head, offset, limit int, do func([]plan.Change) error) error {
	if limit == 0 {
		return nil
	}
	enough := errors.New("enough")
	err := plans.Each(ctx, s.buckets[h.Kind], h, offset, func(some []plan.Change) error {
		if limit != everything {
			some = some[:min(len(some), limit)]
			limit -= len(some)
		}
		if len(some) > 0 {
			if err := do(some); err != nil {
				return err
			}
		}
		if limit == 0 {
			return enough
		}
		return nil
	})
	switch {
	case errors.Is(err, enough):
		return nil
	case err != nil && fault.KindOf(err) == fault.Invalid:
		return unreadable(h.ID)
	}
	return err
}

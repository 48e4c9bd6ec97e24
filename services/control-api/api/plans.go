package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"offhook.dev/libs/bus"
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
	// State is "planned" or "expired"; once it is applied "applying", "done", "braked" or
	// "failed". How far an order about contacts is meanwhile, the order says alone.
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
	// Unlisted is how many of its changes are counted only: plans for phonebooks list so
	// many.
	Unlisted int `json:"unlisted,omitempty"`
	// Incomplete is why the plan may not show everything, for people.
	Incomplete string `json:"incomplete,omitempty"`
	// Remarks counts what is to be told of values, by reason, listed or not.
	Remarks map[string]int `json:"remarks,omitempty"`
	// Changes are left out where plans are listed.
	Changes []plan.Change `json:"changes,omitempty"`

	// each calls do for the changes, some at a time, from the one on that has so many
	// before it.
	each func(ctx context.Context, from int, do func([]plan.Change) error) error
}

// shelf reads plans from the buckets of those who make them.
type shelf struct {
	model *model
	bus   *bus.Bus
	users *store.Bucket // topology.Plans
	books *store.Bucket // topology.BookPlans
}

// everything is the limit of who wants all changes.
const everything = -1

// get returns a plan without its changes.
func (s shelf) get(ctx context.Context, id string) (Plan, error) {
	unknown := problem(fault.NotFound, CodePlanUnknown, fmt.Sprintf("there is no plan %q", id), "plan",
		"list them with GET /api/v1/plans, or make one with offhook plan; a plan is kept for a day at least")
	tenant, kind, err := plans.Owner(id)
	if err != nil {
		return Plan{}, unknown
	}
	if err := (keeper{model: s.model}).configured(tenant); err != nil {
		return Plan{}, err
	}
	p, err := s.read(ctx, kind, id)
	switch {
	case err == nil && (p.ID != id || p.Tenant != string(tenant) || p.Kind != string(kind)), fault.KindOf(err) == fault.NotFound && err != nil:
		return Plan{}, unknown
	case fault.KindOf(err) == fault.Invalid && err != nil:
		return Plan{}, unreadable(id)
	}
	return p, err
}

func (s shelf) read(ctx context.Context, kind wire.SyncKind, id string) (Plan, error) {
	bucket := s.of(kind)
	h, err := plans.Read(ctx, bucket, id)
	return s.describe(h, bucket), err
}

// of is the bucket that plans of a kind are in.
func (s shelf) of(kind wire.SyncKind) *store.Bucket {
	if kind == wire.SyncContacts {
		return s.books
	}
	return s.users
}

func unreadable(id string) error {
	return problem(fault.Conflict, CodePlanUnknown, "the plan is of a newer version of Offhook", "plan "+id, "make a new one with offhook plan")
}

// describe is a plan that is kept in a bucket.
func (s shelf) describe(h plans.Head, kept *store.Bucket) Plan {
	if h.State == wire.SyncPlanned && !s.model.now().Before(h.Expires) {
		h.State = wire.SyncExpired
	}
	if h.Basis == nil {
		h.Basis = map[string]uint64{}
	}
	return Plan{ID: h.ID, Tenant: string(h.Tenant), Kind: string(h.Kind), State: string(h.State), Made: h.Made.UTC(), Expires: h.Expires.UTC(), Basis: h.Basis, Brake: h.Brake,
		Total: h.Total, Done: h.Done, Failed: h.Failed, Unlisted: h.Unlisted, Incomplete: h.Incomplete, Remarks: h.Remarks,
		each: func(ctx context.Context, from int, do func([]plan.Change) error) error {
			return plans.Each(ctx, kept, h, from, func(some []plan.Change) error {
				if err := s.results(ctx, h, some); err != nil {
					return err
				}
				return do(some)
			})
		}}
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
	add := func(p Plan) {
		if _, configured := s.model.tenants[identity.Tenant(p.Tenant)]; configured && (tenant == "" || p.Tenant == tenant) {
			list = append(list, p)
		}
	}
	for _, bucket := range []*store.Bucket{s.users, s.books} {
		heads, err := plans.Heads(ctx, bucket)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			add(s.describe(h, bucket))
		}
	}
	slices.SortFunc(list, func(a, b Plan) int { return b.Made.Compare(a.Made) })
	return list, nil
}

// changes calls do for the changes of a plan from the offset-th on and at most limit of
// them, some at a time.
func (p Plan) changes(ctx context.Context, offset, limit int, do func([]plan.Change) error) error {
	if limit == 0 {
		return nil
	}
	enough := errors.New("enough")
	err := p.each(ctx, offset, func(some []plan.Change) error {
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
		return unreadable(p.ID)
	}
	return err
}

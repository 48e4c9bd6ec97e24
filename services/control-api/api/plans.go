package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"offhook.dev/libs/books"
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
	// State is "planned" or "expired"; of users once it is applied "applying", "done" or
	// "braked". How far an order about contacts is, the order says alone.
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
	// Changes are left out where plans are listed.
	Changes []plan.Change `json:"changes,omitempty"`

	// each calls do for the changes, some at a time, from the one on that has so many
	// before it.
	each func(ctx context.Context, from int, do func([]plan.Change) error) error
}

// shelf reads plans from the buckets of those who make them.
type shelf struct {
	model *model
	users *store.Bucket // topology.Plans, kept by libs/plans
	books *store.Bucket // topology.BookPlans, kept by libs/books
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
	p, err := s.read(ctx, tenant, kind, id)
	switch {
	case err == nil && (p.ID != id || p.Tenant != string(tenant) || p.Kind != string(kind)), fault.KindOf(err) == fault.NotFound && err != nil:
		return Plan{}, unknown
	case fault.KindOf(err) == fault.Invalid && err != nil:
		return Plan{}, unreadable(id)
	}
	return p, err
}

func (s shelf) read(ctx context.Context, tenant identity.Tenant, kind wire.SyncKind, id string) (Plan, error) {
	if kind == wire.SyncContacts {
		p, err := books.ReadHead(ctx, s.books, tenant, id)
		return s.ofBooks(p), err
	}
	h, err := plans.Read(ctx, s.users, id)
	return s.ofUsers(h), err
}

func unreadable(id string) error {
	return problem(fault.Conflict, CodePlanUnknown, "the plan is of a newer version of Offhook", "plan "+id, "make a new one with offhook plan")
}

// ofUsers describes a plan for extensions.
func (s shelf) ofUsers(h plans.Head) Plan {
	p := s.describe(h.Plan, h.Tenant, h.Kind, h.State, h.Made)
	p.Total, p.Done, p.Failed = h.Total, h.Done, h.Failed
	p.each = func(ctx context.Context, from int, do func([]plan.Change) error) error {
		return plans.Each(ctx, s.users, h, from, do)
	}
	return p
}

// ofBooks describes a plan for phonebooks.
func (s shelf) ofBooks(b books.Plan) Plan {
	p := s.describe(b.Plan, b.Tenant, wire.SyncContacts, wire.SyncPlanned, b.Made)
	p.Total, p.Unlisted, p.Incomplete = b.Total, b.Unlisted, b.Incomplete
	p.each = func(ctx context.Context, from int, do func([]plan.Change) error) error {
		return books.Each(ctx, s.books, b, from, do)
	}
	return p
}

// describe is what both have.
func (s shelf) describe(p plan.Plan, tenant identity.Tenant, kind wire.SyncKind, state wire.SyncState, made time.Time) Plan {
	if state == wire.SyncPlanned && !s.model.now().Before(p.Expires) {
		state = wire.SyncExpired
	}
	basis := p.Basis
	if basis == nil {
		basis = map[string]uint64{}
	}
	return Plan{ID: p.ID, Tenant: string(tenant), Kind: string(kind), State: string(state), Made: made.UTC(), Expires: p.Expires.UTC(), Basis: basis, Brake: p.Brake}
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
	heads, err := plans.Heads(ctx, s.users)
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		add(s.ofUsers(h))
	}
	err = s.books.Each(ctx, books.AllHeads, func(e store.Entry) error {
		if p, err := books.DecodeHead(e.Value); err == nil { // else a later version's
			add(s.ofBooks(p))
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Plan) int { return b.Made.Compare(a.Made) })
	return list, err
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

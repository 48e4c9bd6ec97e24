package books

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

// Plan is a plan for phonebooks. It shows what Microsoft 365 was seen to have and the
// phone system does not: creations, updates and deletions by their source key, since no
// content of contacts is kept anywhere.
type Plan struct {
	plan.Plan                  // Changes are the first MostChanges
	Tenant     identity.Tenant `json:"tenant"`
	Made       time.Time       `json:"made"`
	Policy     plan.Policy     `json:"policy"`
	Counts     map[plan.Op]int `json:"counts"`   // of all changes
	Total      int             `json:"total"`    // changes that would be done
	HeldBack   int             `json:"held"`     // deletions that wait for a person
	Unlisted   int             `json:"unlisted"` // changes beyond MostChanges
	Mailboxes  int             `json:"mailboxes"`
	Incomplete string          `json:"incomplete,omitempty"` // why it may not show everything
	Parts      int             `json:"parts"`                // values that hold its Changes
}

const (
	// MostChanges bounds how many changes a plan lists. It counts them all.
	MostChanges = 10_000
	// partSize bounds a value of the bucket.
	partSize = 500_000
)

func partKey(tenant identity.Tenant, id string, part int) string {
	return topology.Join(string(tenant), id, strconv.Itoa(part))
}

// Heads matches the first value of every plan of a tenant.
func Heads(tenant identity.Tenant) string { return topology.Token(string(tenant)) + ".*.0" }

// AllHeads is Heads of all tenants.
const AllHeads = "*.*.0"

// WritePlan stores a plan: its changes first, so that one which is there is complete.
func WritePlan(ctx context.Context, b *store.Bucket, p Plan) error {
	const op = "books: write plan"
	changes := p.Changes
	p.Parts, p.Changes = 0, nil
	for len(changes) > 0 {
		value := []byte{'['}
		n := 0
		for ; n < len(changes) && len(value) < partSize; n++ {
			one, err := json.Marshal(changes[n])
			if err != nil {
				return fault.New(fault.Invalid, op, err)
			}
			if n > 0 {
				value = append(value, ',')
			}
			value = append(value, one...)
		}
		p.Parts++
		if _, err := b.Put(ctx, partKey(p.Tenant, p.ID, p.Parts), append(value, ']')); err != nil {
			return err
		}
		changes = changes[n:]
	}
	value, err := json.Marshal(p)
	if err != nil {
		return fault.New(fault.Invalid, op, err)
	}
	_, err = b.Put(ctx, partKey(p.Tenant, p.ID, 0), value)
	return err
}

// ReadHead returns a plan without its changes, or a fault of kind NotFound.
func ReadHead(ctx context.Context, b *store.Bucket, tenant identity.Tenant, id string) (Plan, error) {
	e, err := b.Get(ctx, partKey(tenant, id, 0))
	if err != nil {
		return Plan{}, err
	}
	return DecodeHead(e.Value)
}

// Each calls do for the changes that a plan lists, some at a time, from the one on that has
// so many before it. NotFound: the plan was removed meanwhile.
func Each(ctx context.Context, b *store.Bucket, p Plan, from int, do func([]plan.Change) error) error {
	for part := range p.Parts {
		e, err := b.Get(ctx, partKey(p.Tenant, p.ID, part+1))
		if err != nil {
			return err
		}
		var some []plan.Change
		if err := json.Unmarshal(e.Value, &some); err != nil {
			return fault.New(fault.Invalid, "books: read plan", err)
		}
		skipped := min(from, len(some))
		from -= skipped
		if err := do(some[skipped:]); err != nil {
			return err
		}
	}
	return nil
}

// ReadPlan returns a plan with the changes that it lists, or a fault of kind NotFound.
func ReadPlan(ctx context.Context, b *store.Bucket, tenant identity.Tenant, id string) (Plan, error) {
	p, err := ReadHead(ctx, b, tenant, id)
	if err != nil {
		return Plan{}, err
	}
	err = Each(ctx, b, p, 0, func(some []plan.Change) error {
		p.Changes = append(p.Changes, some...)
		return nil
	})
	return p, err
}

// DecodeHead reads the first value of a plan, which has everything but its changes.
func DecodeHead(value []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(value, &p); err != nil {
		return Plan{}, fault.New(fault.Invalid, "books: plan", err)
	}
	return p, nil
}

// DeletePlan removes a plan, its changes last.
func DeletePlan(ctx context.Context, b *store.Bucket, p Plan) error {
	for part := range p.Parts + 1 {
		e, err := b.Get(ctx, partKey(p.Tenant, p.ID, part))
		switch {
		case err == nil:
			err = b.Delete(ctx, e.Key, e.Revision)
		case fault.KindOf(err) == fault.NotFound:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Note counts a change, and lists it if there is room.
func (p *Plan) Note(c plan.Change) {
	p.Counts[c.Op]++
	switch {
	case c.Held:
		p.HeldBack++
		p.Brake.Held++
		p.Brake.Tripped = true
	case c.Op.Acts():
		p.Total++
	}
	if len(p.Changes) >= MostChanges {
		p.Unlisted++
		return
	}
	c.Fields = nil // fingerprints: for the digest, not for people
	p.Changes = append(p.Changes, c)
}

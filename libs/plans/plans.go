// Package plans keeps plans in a bucket between being shown and being applied: one value
// for what a plan is and how far it has got, and some more for its changes, as a value
// holds a megabyte at most. Who plans writes them; the control API reads them.
package plans

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// A value has so many changes, which are some hundred bytes each, or fewer if they are long:
// the broker takes a megabyte.
const (
	mostChanges = 500
	mostBytes   = 500_000
)

// Life is how long a plan can be applied after it was made.
const Life = time.Hour

// Head is a plan without its changes.
type Head struct {
	plan.Plan
	Tenant identity.Tenant `json:"tenant"`
	Kind   wire.SyncKind   `json:"kind"`
	Made   time.Time       `json:"made"`
	// State is SyncPlanned until it is applied; Done and Failed count from then on.
	State  wire.SyncState `json:"state"`
	Total  int            `json:"total"` // changes that do something and are not held
	Done   int            `json:"done"`  // those that failed too
	Failed int            `json:"failed"`
	Parts  []int          `json:"parts"` // how many changes are in each value that has some
	// Unlisted is how many changes are counted only.
	Unlisted int `json:"unlisted,omitempty"`
	// Incomplete is why the plan may not show everything, for people.
	Incomplete string `json:"incomplete,omitempty"`
	// Remarks counts what is to be told of values, by reason, listed or not.
	Remarks map[string]int `json:"remarks,omitempty"`
	// Order is what applies the plan, and Op what was ordered; "" before. Sent says that
	// all that is to be done is on its way or done, so that only its end is waited for.
	Order string      `json:"order,omitempty"`
	Op    wire.SyncOp `json:"op,omitempty"`
	Sent  bool        `json:"sent,omitempty"`
}

// Add counts a change, and lists it if fewer than most are listed; 0: all are.
func (h *Head) Add(c plan.Change, most int) {
	if c.Op.Acts() && !c.Held {
		h.Total++
	}
	h.Remark(c)
	if most > 0 && len(h.Changes) >= most {
		h.Unlisted++
		return
	}
	h.Changes = append(h.Changes, c)
}

// Remark counts what is to be told of a change's values, which Add does too.
func (h *Head) Remark(c plan.Change) {
	for _, r := range c.Remarks {
		if h.Remarks == nil {
			h.Remarks = map[string]int{}
		}
		h.Remarks[r.Reason]++
	}
}

// NewID makes the name of a plan. It begins with the tenant and the kind, by which who
// is told to apply it finds out whose it is.
func NewID(tenant identity.Tenant, kind wire.SyncKind) string {
	random := make([]byte, 5)
	_, _ = rand.Read(random) // never fails
	return fmt.Sprintf("%s-%s-%s", tenant, kind, hex.EncodeToString(random))
}

// IDOf is the name of the plan that is made for an order: the same whenever the order
// comes again.
func IDOf(tenant identity.Tenant, kind wire.SyncKind, order string) string {
	sum := sha256.Sum256([]byte(order))
	return fmt.Sprintf("%s-%s-%s", tenant, kind, hex.EncodeToString(sum[:5]))
}

// Owner is the tenant and the kind of a plan by its id, or a fault of kind Invalid.
func Owner(id string) (identity.Tenant, wire.SyncKind, error) {
	if whose := strings.LastIndex(id, "-"); whose > 0 { // what is behind it has none
		for _, kind := range []wire.SyncKind{wire.SyncUsers, wire.SyncContacts} {
			if tenant, is := strings.CutSuffix(id[:whose], "-"+string(kind)); is {
				if tenant, err := identity.ParseTenant(tenant); err == nil {
					return tenant, kind, nil
				}
			}
		}
	}
	return "", "", fault.Errorf(fault.Invalid, "plan", "%q is no plan: they are called like contoso-users-1a2b3c4d5e", id)
}

// Save stores a plan with its changes, which the head need not hold.
func Save(ctx context.Context, b *store.Bucket, h Head) error {
	h.Parts = nil
	if err := h.Part(ctx, b); err != nil {
		return err
	}
	return put(ctx, b, h)
}

// Part stores the changes that the head holds behind those that were stored before, and
// the head holds none then: so a large plan is never in memory whole. It is there for
// others once Note has stored the head.
func (h *Head) Part(ctx context.Context, b *store.Bucket) error {
	changes := h.Changes
	h.Changes = nil
	for len(changes) > 0 {
		value, n, err := part(changes)
		if err != nil {
			return err
		}
		if _, err := b.Put(ctx, topology.Join(h.ID, strconv.Itoa(len(h.Parts))), value); err != nil {
			return err
		}
		h.Parts, changes = append(h.Parts, n), changes[n:]
	}
	return nil
}

// part encodes the first changes, as many as one value has.
func part(changes []plan.Change) (value []byte, n int, err error) {
	value = []byte{'['}
	for ; n < min(len(changes), mostChanges) && len(value) < mostBytes; n++ {
		one, err := json.Marshal(changes[n])
		if err != nil {
			return nil, 0, fault.New(fault.Invalid, "plan", err)
		}
		if n > 0 {
			value = append(value, ',')
		}
		value = append(value, one...)
	}
	return append(value, ']'), n, nil
}

// Revise stores the changes of a plan again, as do has them.
func Revise(ctx context.Context, b *store.Bucket, h Head, do func(*plan.Change) error) error {
	for i := range h.Parts {
		key := topology.Join(h.ID, strconv.Itoa(i))
		e, err := b.Get(ctx, key)
		if err != nil {
			return err
		}
		var some []plan.Change
		if err := json.Unmarshal(e.Value, &some); err != nil {
			return fault.New(fault.Invalid, "plan "+h.ID, err)
		}
		for j := range some {
			if err := do(&some[j]); err != nil {
				return err
			}
		}
		value, err := json.Marshal(some)
		if err != nil {
			return fault.New(fault.Invalid, "plan "+h.ID, err)
		}
		if _, err := b.Put(ctx, key, value); err != nil {
			return err
		}
	}
	return nil
}

// Note stores how far a plan has got.
func Note(ctx context.Context, b *store.Bucket, h Head) error {
	h.Changes = nil
	return put(ctx, b, h)
}

func put(ctx context.Context, b *store.Bucket, h Head) error {
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, topology.Join(h.ID), value)
	return err
}

// Read returns a plan without its changes; NotFound where there is none.
func Read(ctx context.Context, b *store.Bucket, id string) (h Head, err error) {
	e, err := b.Get(ctx, topology.Join(id))
	if err != nil {
		return Head{}, err
	}
	if err := json.Unmarshal(e.Value, &h); err != nil {
		return Head{}, fault.New(fault.Invalid, "plan "+id, err)
	}
	return h, nil
}

// Load returns a plan with its changes.
func Load(ctx context.Context, b *store.Bucket, id string) (Head, error) {
	h, err := Read(ctx, b, id)
	if err != nil {
		return Head{}, err
	}
	err = Each(ctx, b, h, 0, func(some []plan.Change) error {
		h.Changes = append(h.Changes, some...)
		return nil
	})
	if err != nil {
		return Head{}, err
	}
	return h, nil
}

// Each calls do for the changes of a plan, some at a time so that a large plan is never
// in memory whole, from the one on that has so many before it. NotFound: the plan was
// forgotten meanwhile.
func Each(ctx context.Context, b *store.Bucket, h Head, from int, do func([]plan.Change) error) error {
	for i, n := range h.Parts {
		if from >= n {
			from -= n
			continue
		}
		e, err := b.Get(ctx, topology.Join(h.ID, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		var some []plan.Change
		if err := json.Unmarshal(e.Value, &some); err != nil {
			return fault.New(fault.Invalid, "plan "+h.ID, err)
		}
		if err := do(some[min(from, len(some)):]); err != nil {
			return err
		}
		from = 0
	}
	return nil
}

// Heads lists all plans, without their changes, in no order.
func Heads(ctx context.Context, b *store.Bucket) (heads []Head, err error) {
	err = b.Each(ctx, "*", func(e store.Entry) error {
		var h Head
		if json.Unmarshal(e.Value, &h) == nil && h.ID != "" {
			heads = append(heads, h)
		}
		return nil
	})
	return heads, err
}

// Forget removes plans that ended or can no longer be applied, a day after they were made.
func Forget(ctx context.Context, b *store.Bucket, now time.Time) error {
	heads, err := Heads(ctx, b)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if now.Sub(h.Made) < 24*time.Hour || h.State == wire.SyncApplying {
			continue
		}
		for i := range h.Parts {
			if err := remove(ctx, b, topology.Join(h.ID, strconv.Itoa(i))); err != nil {
				return err
			}
		}
		if err := remove(ctx, b, topology.Join(h.ID)); err != nil {
			return err
		}
	}
	return nil
}

func remove(ctx context.Context, b *store.Bucket, key string) error {
	e, err := b.Get(ctx, key)
	if err == nil {
		err = b.Delete(ctx, key, e.Revision)
	}
	if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Conflict) {
		return nil // another replica was faster
	}
	return err
}

package options

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/store"
)

// Mirror is the bucket in memory, over the options of the configuration, with who is
// in which group (RunMembers).
type Mirror struct {
	base func(identity.Person) presence.Options
	log  *slog.Logger

	mu      sync.RWMutex // guards what follows
	records map[Key]Record
	named   map[Key]bool // groups with a record, also with one that cannot be read
	members members
	reached uint64        // revision of the newest entry that was taken in, or left out
	moved   chan struct{} // closed and made anew when reached grows

	current chan struct{} // closed after the first fill
	once    sync.Once
	joined  chan struct{} // closed after the first fill of the memberships
	entered sync.Once
}

// NewMirror returns a mirror over base, the options of the configuration; Run fills
// it. For somebody of a tenant that is not configured base returns the zero Options:
// then no record counts, and what there was is released.
func NewMirror(base func(identity.Person) presence.Options, log *slog.Logger) *Mirror {
	return &Mirror{base: base, log: log, records: map[Key]Record{}, named: map[Key]bool{}, members: newMembers(),
		moved: make(chan struct{}), current: make(chan struct{}), joined: make(chan struct{})}
}

// Run keeps the mirror current until ctx ends. changed, unless nil, is called after
// each change, during the first fill as well.
func (m *Mirror) Run(ctx context.Context, b *store.Bucket, changed func(Key)) error {
	return b.Watch(ctx, ">", func(e store.Entry) error {
		defer m.passed(e.Revision)
		key, err := ParseKey(e.Key)
		if err != nil {
			return nil // a later version keeps something else here
		}
		var record Record
		if !e.Deleted {
			if record, err = Decode(e.Value); err != nil {
				// A newer control-api wrote what this one does not know. What was in force stays.
				m.name(key)
				m.log.Warn("options cannot be read; those that were in force stay", "key", e.Key, "error", err)
				return nil
			}
		}
		m.set(key, record, e.Deleted)
		if changed != nil {
			changed(key)
		}
		return nil
	}, func() { m.once.Do(func() { close(m.current) }) })
}

// passed notes how far the bucket was read.
func (m *Mirror) passed(revision uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reached = max(m.reached, revision)
	close(m.moved)
	m.moved = make(chan struct{})
}

// Until waits until the mirror has what the bucket held at a revision: who has
// written sees it.
func (m *Mirror) Until(ctx context.Context, revision uint64) error {
	for {
		m.mu.RLock()
		reached, moved := m.reached, m.moved
		m.mu.RUnlock()
		if reached >= revision {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fault.New(fault.Cancelled, "options: what was written", context.Cause(ctx))
		}
	}
}

// Current waits until the mirror has all that was there when Run began.
func (m *Mirror) Current(ctx context.Context) error {
	select {
	case <-m.current:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "options: first fill", context.Cause(ctx))
	}
}

func (m *Mirror) set(key Key, record Record, deleted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if deleted {
		delete(m.records, key)
		delete(m.named, key)
		return
	}
	m.records[key] = record
	if key.Layer == Group {
		m.named[key] = true
	}
}

// name notes that there is a record, though it cannot be read.
func (m *Mirror) name(key Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key.Layer == Group {
		m.named[key] = true
	}
}

// Groups lists the groups of a tenant that have a record: whose members have to be
// known.
func (m *Mirror) Groups(tenant identity.Tenant) []identity.Group {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var groups []identity.Group
	for key := range m.named {
		if id, err := identity.ParseGroup(key.ID); err == nil && key.Tenant == tenant {
			groups = append(groups, id)
		}
	}
	slices.Sort(groups)
	return groups
}

// Concerns says whether a change of key is one of a person's options.
func (m *Mirror) Concerns(key Key, who identity.Person) bool {
	if key.Tenant != who.Tenant {
		return false
	}
	switch key.Layer {
	case User:
		return key.ID == string(who.User)
	case Group:
		m.mu.RLock()
		defer m.mu.RUnlock()
		return slices.Contains(m.members.of[who], identity.Group(key.ID))
	}
	return true
}

// Of returns the options of a person, and the status that was set for them in
// Offhook, or nil.
func (m *Mirror) Of(who identity.Person) (presence.Options, *presence.Chosen) {
	o, configured := m.below(who)
	if !configured {
		return o, nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, l := range m.layers(who) {
		o, _ = l.record.over(o) // what control-api let through has no problems; else the layer below stands
	}
	user, ok := m.records[UserKey(who)]
	if !ok || user.Chosen == nil {
		return o, nil
	}
	c := user.Chosen
	status, err := presence.ParseStatus(c.Status)
	if err != nil {
		return o, nil
	}
	chosen := &presence.Chosen{Status: status, At: c.At, Until: c.Until, By: c.By}
	if c.System != "" {
		chosen.Line = identity.Line{System: c.System, Extension: c.Extension}
	}
	return o, chosen
}

// below returns what the configuration says of a person, and whether it knows their
// tenant.
func (m *Mirror) below(who identity.Person) (o presence.Options, configured bool) {
	if o = m.base(who); o.Mode != "" {
		return o, true
	}
	o = presence.DefaultOptions()
	o.Mode = presence.Disabled
	return o, false
}

// layered is a record with whom it is about.
type layered struct {
	key    Key
	record Record
}

// layers lists the records that concern a person, the weakest first. m.mu is held.
func (m *Mirror) layers(who identity.Person) []layered {
	if len(m.records) == 0 {
		return nil
	}
	var found []layered
	add := func(key Key) {
		if record, ok := m.records[key]; ok {
			found = append(found, layered{key, record})
		}
	}
	add(Key{Layer: Tenant, Tenant: who.Tenant})
	groups := slices.Clone(m.members.of[who])
	rank := func(group identity.Group) int { return m.records[GroupKey(who.Tenant, group)].Rank }
	slices.SortFunc(groups, func(a, b identity.Group) int { return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(b, a)) })
	for _, group := range groups {
		add(GroupKey(who.Tenant, group))
	}
	add(UserKey(who))
	return found
}

// Modes returns every mode that somebody of a tenant may have beside that of the
// configuration: what has to be read depends on it.
func (m *Mirror) Modes(tenant identity.Tenant) []presence.Mode {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var modes []presence.Mode
	for key, record := range m.records {
		if mode, err := presence.ParseMode(record.Mode); key.Tenant == tenant && err == nil && !slices.Contains(modes, mode) {
			modes = append(modes, mode)
		}
	}
	slices.Sort(modes)
	return modes
}

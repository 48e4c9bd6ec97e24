package api

import (
	"slices"
	"time"

	"offhook.dev/libs/core/identity"
)

// staleAfter is how many sweeps a Teams value may be old.
const staleAfter = 3

// stale returns those of the people whose Teams value should be fresh and is not: it
// was last confirmed, by a notification or a sweep, more than three sweeps ago as the
// configuration spaces them, or never. Whom no option lets Offhook read in Teams is
// not among them.
func (m *model) stale(people []identity.Person) []identity.Person {
	now := m.now()
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []identity.Person
	for _, who := range people {
		if !m.reads(who, now) {
			continue
		}
		r, known := m.reading(who)
		if !known || now.Sub(m.confirmed(who, r)) > staleAfter*m.tenants[who.Tenant].sweep() {
			found = append(found, who)
		}
	}
	return found
}

// reads says whether the options let Offhook read somebody in Teams now.
func (m *model) reads(who identity.Person, now time.Time) bool {
	o, _ := m.options.Of(who)
	return o.Mode.ReadsTeams() && !o.TeamsAbsent && !now.Before(o.PausedUntil)
}

// laneAges returns how old the Teams values of the people on each lane are, in order; the
// lane with the account "" are those of a tenant who are swept only. Who was never read
// has no age: stale names them.
func (m *model) laneAges() map[laneKey][]time.Duration {
	now := m.now()
	ages := map[laneKey][]time.Duration{}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for tenant := range m.tenants {
		for _, who := range m.links.People(tenant) {
			if r, known := m.reading(who); known && m.reads(who, now) {
				lane := laneKey{tenant, m.lanes.On(who)}
				ages[lane] = append(ages[lane], max(0, now.Sub(m.confirmed(who, r))))
			}
		}
	}
	for _, of := range ages {
		slices.Sort(of)
	}
	return ages
}

// staleness counts, for each configured tenant, the linked people whose Teams value
// is stale.
func (m *model) staleness() map[identity.Tenant]int {
	counts := map[identity.Tenant]int{}
	for tenant := range m.tenants {
		counts[tenant] = len(m.stale(m.links.People(tenant)))
	}
	return counts
}

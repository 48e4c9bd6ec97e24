package api

import "offhook.dev/libs/core/identity"

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
		o, _ := m.options.Of(who)
		if !o.Mode.ReadsTeams() || o.TeamsAbsent || now.Before(o.PausedUntil) {
			continue
		}
		r, known := m.teams[who]
		if !known || now.Sub(m.confirmed(who, r)) > staleAfter*m.tenants[who.Tenant].sweep() {
			found = append(found, who)
		}
	}
	return found
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

package graphsim

import "strings"

// offered says whether the cloud of the tenant has an operation at all
// (learn.microsoft.com/graph/deployments and the metadata of each cloud, 2026-08):
// China has no presence, and no delta of contacts.
func (t *Tenant) offered(pattern string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.switches.Cloud != "china" || !strings.Contains(pattern, "resence") && !strings.Contains(pattern, "/contacts/delta")
}

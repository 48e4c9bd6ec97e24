package portsip

import (
	"fmt"
	"math"
	"net/http"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxbench"
	"offhook.dev/libs/pbx/portsipsim"
)

// BenchmarkStatusWrites writes statuses to a simulated PortSIP PBX that takes any number of
// requests: one request a write. The floor is the same POST by a bare client with the same
// token over TLS.
func BenchmarkStatusWrites(b *testing.B) {
	for _, inFlight := range []int{1, 2, 16} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			sim := start(b, portsipsim.Config{Extensions: 64, ListsDND: true, Limit: math.MaxInt})
			config := configFor(sim)
			config.Partial = true
			d := open(b, config)
			err := d.Statuses(b.Context(), func(identity.Extension, presence.Status) error { return nil }) // so that the ids are known
			if err != nil {
				b.Fatal(err)
			}
			bearer, err := d.admin.token(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			w := pbxbench.Writing{Driver: d, Extensions: sim.Numbers(), Statuses: []presence.Status{presence.DND, presence.Available}, InFlight: inFlight}
			w.Floor = pbxbench.Requests(b, authority.Pool(), inFlight, http.StatusOK, func(i int) (*http.Request, error) {
				id, _ := d.id(w.Extension(i))
				return pbxbench.JSON(b.Context(), http.MethodPost, sim.URL()+root+userPath(id), bearer, map[string]bool{"enable_dnd": w.Status(i) == presence.DND})
			})
			pbxbench.Writes(b, w)
		})
	}
}

// BenchmarkMemory is of ten tenants of 2,000 users, whose calls and statuses are watched.
func BenchmarkMemory(b *testing.B) {
	var sims []*portsipsim.Sim
	for range pbxbench.Systems {
		sims = append(sims, start(b, portsipsim.Config{Extensions: pbxbench.Extensions, Licence: 2 * pbxbench.Extensions, ListsDND: true, Limit: math.MaxInt}))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return open(b, configFor(sims[i])) }, nil)
}

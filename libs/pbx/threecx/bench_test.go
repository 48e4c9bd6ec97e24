package threecx

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxbench"
	"offhook.dev/libs/pbx/pbxsim"
)

// BenchmarkStatusWrites writes statuses to a simulated 3CX. The floor is the same PATCH
// by a bare client with the same token over TLS. Two at a time is what a System does
// unless it is told otherwise.
func BenchmarkStatusWrites(b *testing.B) {
	for _, inFlight := range []int{1, 2, 16} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			sim := simulated(b, 64)
			d := connected(b, sim, inFlight)
			extensions := numbers(64)
			for _, ext := range extensions { // so that the keys are known
				if _, err := d.Status(b.Context(), ext); err != nil {
					b.Fatal(err)
				}
			}
			bearer, err := d.wire.tokens.get(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			w := pbxbench.Writing{Driver: d, Extensions: extensions, InFlight: inFlight}
			w.Floor = pbxbench.Requests(b, authority.Pool(), inFlight, http.StatusNoContent, func(i int) (*http.Request, error) {
				name := "Out of office"
				if i/len(extensions)%2 == 1 { // so that each write is a change
					name = "Available"
				}
				id, _ := d.id(extensions[i%len(extensions)])
				return pbxbench.JSON(b.Context(), http.MethodPatch, sim.URL()+root+userPath(id), bearer, map[string]string{"CurrentProfileName": name})
			})
			pbxbench.Writes(b, w)
		})
	}
}

// BenchmarkMemory is of ten 3CXs of 2,000 extensions, whose calls are watched: statuses
// cannot be.
func BenchmarkMemory(b *testing.B) {
	var sims []*pbxsim.Sim
	for range pbxbench.Systems {
		sims = append(sims, simulated(b, pbxbench.Extensions))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver {
		d, err := Open(b.Context(), configFor(sims[i]))
		if err != nil {
			b.Fatal(err)
		}
		return d
	}, nil)
}

// simulated runs a 3CX of n extensions.
func simulated(b *testing.B, n int) *pbxsim.Sim {
	b.Helper()
	sim, err := pbxsim.Start(pbxsim.Config{Authority: authority, System: "hq", Extensions: n})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sim.Close)
	return sim
}

// connected is a driver without a watch, with so many requests at a time.
func connected(b *testing.B, sim *pbxsim.Sim, inFlight int) *Driver {
	b.Helper()
	config := configFor(sim)
	config.InFlight = inFlight
	d, err := connect(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func numbers(n int) []identity.Extension {
	var all []identity.Extension
	for i := range n {
		all = append(all, identity.Extension(strconv.Itoa(200+i)))
	}
	return all
}

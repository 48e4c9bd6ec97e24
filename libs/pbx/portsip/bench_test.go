package portsip

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxbench"
	"offhook.dev/libs/pbx/portsipsim"
)

// BenchmarkStatusWrites writes statuses to a simulated PortSIP PBX that takes any number of
// requests. The floor is the same requests by a bare client with the same token
// over TLS: unless told otherwise the driver reads a user and writes the whole of it back, and
// with partial changes it writes the switch alone.
func BenchmarkStatusWrites(b *testing.B) {
	for _, partial := range []bool{false, true} {
		name := "a whole user"
		if partial {
			name = "partial changes"
		}
		for _, inFlight := range []int{1, 2, 16} {
			b.Run(fmt.Sprintf("%s, %d in flight", name, inFlight), func(b *testing.B) { benchmarkWrites(b, partial, inFlight) })
		}
	}
}

func benchmarkWrites(b *testing.B, partial bool, inFlight int) {
	sim := start(b, portsipsim.Config{Extensions: 64, ListsDND: true, Limit: math.MaxInt})
	config := configFor(sim)
	config.Partial = partial
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
	wholes := make(map[identity.Extension]members)
	for _, ext := range w.Extensions {
		id, _ := d.id(ext)
		user, err := d.members(b.Context(), "benchmark", id)
		if err != nil {
			b.Fatal(err)
		}
		wholes[ext] = user.writable()
	}
	request := func(method string, i int, body any) (*http.Request, error) {
		id, _ := d.id(w.Extension(i))
		return pbxbench.JSON(b.Context(), method, sim.URL()+root+userPath(id), bearer, body)
	}
	read := func(i int) (*http.Request, error) { return request(http.MethodGet, i, nil) }
	write := func(i int) (*http.Request, error) {
		order := members{}
		if !partial {
			maps.Copy(order, wholes[w.Extension(i)])
		}
		order["enable_dnd"] = json.RawMessage(strconv.FormatBool(w.Status(i) == presence.DND))
		return request(http.MethodPost, i, order)
	}
	requests := []func(int) (*http.Request, error){read, write}
	if partial {
		requests = requests[1:]
	}
	w.Floor = pbxbench.Requests(b, authority.Pool(), inFlight, http.StatusOK, requests...)
	pbxbench.Writes(b, w)
}

// BenchmarkMemory is of ten tenants of 2,000 users, whose calls and statuses are watched.
func BenchmarkMemory(b *testing.B) {
	var sims []*portsipsim.Sim
	for range pbxbench.Systems {
		sims = append(sims, start(b, portsipsim.Config{Extensions: pbxbench.Extensions, Licence: 2 * pbxbench.Extensions, ListsDND: true, Limit: math.MaxInt}))
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return open(b, configFor(sims[i])) }, nil)
}

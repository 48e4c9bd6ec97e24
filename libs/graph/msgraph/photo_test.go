package msgraph_test

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
)

func TestPhotosAreReadByTheirTags(t *testing.T) {
	for _, absent := range []string{"404", "gif"} {
		sim := simulateAs(t, 25, func(c *graphsim.Config) { c.Tenants[0].Switches.NoPhoto = absent })
		users := sim.ids(t)
		picture := bytes.Repeat([]byte{0xff, 0xd8, 7}, 1000)
		must(t, sim.tenant.SetPhoto(string(users[0]), "image/jpeg", picture))
		must(t, sim.tenant.EditMailbox(string(users[1]), func(m *graphsim.Mailbox) { m.Missing = true }))
		must(t, sim.tenant.EditMailbox(string(users[2]), func(m *graphsim.Mailbox) { m.Denied = true }))
		tags := map[identity.User]graph.PhotoTag{}
		for tag := range sim.client.PhotoTags(t.Context(), users) {
			tags[tag.User] = tag
		}
		truth, err := sim.tenant.Photo(string(users[0]))
		must(t, err)
		if len(tags) != 25 || tags[users[0]].ETag != truth.ETag || tags[users[1]] != (graph.PhotoTag{User: users[1]}) ||
			fault.KindOf(tags[users[2]].Err) != fault.Denied || tags[users[3]] != (graph.PhotoTag{User: users[3]}) {
			t.Errorf("%+v", tags)
		}
		if n := sim.server.Requests().Of(http.MethodPost, "/v1.0/$batch", 0); n != 2 {
			t.Errorf("%d batches", n)
		}
		got, err := sim.client.Photo(t.Context(), users[0])
		if err != nil || !slices.Equal(got, picture) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := sim.client.Photo(t.Context(), users[3]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("none: %v", err)
		}
		for _, size := range []int{graph.MaxPhoto + 1, 20 << 20} {
			must(t, sim.tenant.SetPhoto(string(users[4]), "image/jpeg", make([]byte, size)))
			if _, err := sim.client.Photo(t.Context(), users[4]); fault.KindOf(err) != fault.Unsupported {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		sim.lawful(t)
	}
}

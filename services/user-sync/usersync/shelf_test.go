package usersync

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// packedAs is something under a key.
func packedAs(key, value string) string {
	var p packer
	p.text(key)
	p.text(value)
	return p.String()
}

// A shelf is a map that is read in order.
func TestAShelfIsAMapInOrder(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var s shelf[string]
		want := map[string]string{}
		for i := range r.IntN(1500) {
			k := fmt.Sprint(r.IntN(600))
			if _, known := want[k]; known && r.IntN(4) == 0 {
				delete(want, k)
				s.remove(k)
			} else {
				want[k] = packedAs(k, fmt.Sprint(i))
				s.put(want[k])
			}
			if got, known := s.get(k); known != (want[k] != "") || got != want[k] {
				t.Fatalf("seed %d: %q is %q, want %q", seed, k, got, want[k])
			}
			if r.IntN(100) > 0 {
				continue
			}
			var listed []string
			for _, k := range slices.Sorted(maps.Keys(want)) {
				listed = append(listed, want[k])
			}
			if all := slices.Sorted(s.all()); !slices.Equal(all, slices.Sorted(maps.Values(want))) {
				t.Fatalf("seed %d: all are %q, want %q", seed, all, want)
			}
			list := s.list()
			if !slices.Equal(list, listed) {
				t.Fatalf("seed %d: listed %q, want %q", seed, list, listed)
			}
			for _, k := range slices.Sorted(maps.Keys(want)) { // what was listed stays as it is
				s.put(packedAs(k, "other"))
				want[k] = packedAs(k, "other")
			}
			if !slices.Equal(list, listed) {
				t.Fatalf("seed %d: the list changed to %q", seed, list)
			}
		}
	}
}

func TestFromNoShelfNothingIsRead(t *testing.T) {
	var s *shelf[string]
	if _, known := s.get("a"); known || s.list() != nil || len(slices.Collect(s.all())) != 0 {
		t.Error("something is there")
	}
}

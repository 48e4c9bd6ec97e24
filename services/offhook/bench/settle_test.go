package bench

import (
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/wire"
)

func TestWhatBecameOfChanges(t *testing.T) {
	const ext = identity.Extension("100")
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	change := func(s int, status presence.Status) posted { return posted{at(s), status} }
	write := func(s int, status presence.Status) pbxsim.Write {
		return pbxsim.Write{Extension: ext, Status: status, At: at(s)}
	}
	applied := func(seen int) wire.Outcome {
		return wire.Outcome{Line: identity.Line{System: "hq", Extension: ext}, Result: wire.Applied, SeenAt: at(seen)}
	}
	cases := []struct {
		name     string
		changes  []posted
		writes   []pbxsim.Write
		outcomes []wire.Outcome
		shows    presence.Status
		want     fate
	}{
		{"each change is written",
			[]posted{change(1, presence.DND), change(5, presence.Available)}, []pbxsim.Write{write(2, presence.DND), write(8, presence.Available)},
			[]wire.Outcome{applied(1), applied(5)}, presence.Available, fate{applied: sample{time.Second, 3 * time.Second}}},
		{"a write that comes after the next change to the same status belongs to the one that was seen",
			[]posted{change(1, presence.DND), change(2, presence.Available), change(3, presence.DND)},
			[]pbxsim.Write{write(4, presence.DND), write(5, presence.Available), write(6, presence.DND)},
			[]wire.Outcome{applied(1), applied(2), applied(3)}, presence.DND, fate{applied: sample{3 * time.Second, 3 * time.Second, 3 * time.Second}}},
		{"changes that a newer one overtook are not lost",
			[]posted{change(1, presence.DND), change(2, presence.Available), change(3, presence.DND)}, []pbxsim.Write{write(4, presence.DND)},
			[]wire.Outcome{applied(3)}, presence.DND, fate{applied: sample{time.Second}, overtaken: 2}},
		{"a change back to what is shown needs no write",
			[]posted{change(1, presence.DND), change(2, presence.Available)}, nil, nil, presence.Available, fate{overtaken: 2}},
		{"the newest change is lost if the extension does not show it",
			[]posted{change(1, presence.DND), change(2, presence.Available)}, []pbxsim.Write{write(3, presence.DND)},
			[]wire.Outcome{applied(1)}, presence.DND, fate{applied: sample{2 * time.Second}, lost: 1}},
		{"a write that nobody asked for is counted",
			[]posted{change(1, presence.DND)}, []pbxsim.Write{write(2, presence.DND), write(3, presence.Available)},
			[]wire.Outcome{applied(1), applied(1)}, presence.Available, fate{applied: sample{time.Second}, unasked: 1}},
		{"a write of which the writer tells nothing is not taken for an answer",
			[]posted{change(1, presence.DND)}, []pbxsim.Write{write(2, presence.DND)}, nil, presence.DND, fate{overtaken: 1, unasked: 1}},
		{"outcomes of earlier writes do not count",
			[]posted{change(5, presence.DND)}, []pbxsim.Write{write(6, presence.DND)},
			[]wire.Outcome{applied(1), applied(5)}, presence.DND, fate{applied: sample{time.Second}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := follow(map[identity.Extension][]posted{ext: c.changes}, c.writes, c.outcomes, nil, map[identity.Extension]presence.Status{ext: c.shows})
			if got.String() != c.want.String() || !equal(got.applied, c.want.applied) {
				t.Errorf("%v %v, want %v %v", got, got.applied, c.want, c.want.applied)
			}
			if all := len(got.applied) + got.overtaken + got.lost; all != len(c.changes) {
				t.Errorf("%d of %d changes accounted for", all, len(c.changes))
			}
		})
	}
}

func equal(a, b sample) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// The account that holds a change to four synced writes.
func TestAFifthSyncedWriteForEachChangeIsAnAccountThatDoesNotAddUp(t *testing.T) {
	const changes = 60 // as TestEveryBenchmarkRunsSmall makes
	for writes, right := range map[int]bool{4: true, 5: false} {
		x := performance{sent: changes, door: counters{"stored": changes}, opened: counters{"fact": changes},
			synced: map[string]int{"INGRESS": changes, "KV_memory": changes, "KV_ledger": (writes-2)*changes + 3}}
		var r Report
		x.accounts(&r, 1)
		if (len(r.Wrong) == 0) != right {
			t.Errorf("%d writes for each change: %v", writes, r.Wrong)
		}
	}
}

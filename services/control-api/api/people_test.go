package api

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
)

// about returns all messages about the i-th of many people, who is in a meeting.
func about(i int) []wire.Message {
	who := identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))}
	line := identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(100_000 + i))}
	at := time.Unix(1_800_000_000, 123_456_789).UTC()
	mail := fmt.Sprintf("friederike.moreau%d@contoso.example", i)
	revision := wire.Revision{Epoch: 1_800_000_000_000_000, Sequence: uint64(i)}
	decision := fmt.Sprintf("contoso.%s-%d", who.User, at.UnixMicro())
	want := wire.Want{Person: who, Line: line, Status: presence.DND, Reason: "teams", DecidedOn: at.UnixMicro(), LinkRevision: uint64(at.UnixMicro()), Revision: revision, Decision: decision, SeenAt: at}
	return []wire.Message{
		wire.User{Person: who, UPN: mail, Mail: mail, DisplayName: fmt.Sprint("Friederike Moreau", i), Enabled: true, SeenAt: at},
		wire.Presence{Person: who, Reading: presence.TeamsReading{Availability: "Busy", Activity: "InAMeeting", SeenAt: at, Source: presence.Poll}},
		wire.Status{Reading: presence.StatusReading{Line: line, Status: presence.DND, Origin: presence.Ours, SeenAt: at, Observation: at.UnixMicro()}},
		wire.Decision{ID: decision, Person: who, At: at, Reason: "teams", Trigger: "m365.fact.presence", Revision: revision,
			Claims:   []wire.Claim{{Source: "teams", Status: presence.DND, Since: at, Until: at.Add(time.Hour)}, {Source: "base", Status: presence.Available}},
			Evidence: []wire.Evidence{{Kind: "m365.fact.presence", Value: "Busy/InAMeeting", Origin: "poll", SeenAt: at, Sequence: uint64(i)}}, Wants: []wire.Want{want}},
		wire.Outcome{ID: fmt.Sprint("hq.", line.Extension, "-1.1-applied"), Person: who, Line: line, Result: wire.Applied, Status: presence.DND, Before: presence.Available, Reason: "teams",
			Revision: revision, Decision: decision, SeenAt: at, ReceivedAt: at, BeganAt: at, EndedAt: at, Trace: "0af7651916cd43dd8448eb211c80319c"},
	}
}

// filled is a read model of so many people.
func filled(t *testing.T, people int) *model {
	t.Helper()
	m := newModel(slog.New(slog.DiscardHandler), links.NewMirror(), options.NewMirror(base(nil), slog.New(slog.DiscardHandler)), nil, time.Now)
	for i := range people {
		for _, message := range about(i) {
			subject, data := message.Encode()
			msg := bus.Message{Subject: subject, Data: data}
			switch message.(type) {
			case wire.User:
				m.foldDirectory(msg)
			case wire.Decision:
				d, err := wire.DecodeDecision(data)
				if err != nil {
					t.Fatal(err)
				}
				m.foldDecision(d, data)
			case wire.Outcome:
				o, err := decodeOutcome(subject, data)
				if err != nil {
					t.Fatal(err)
				}
				m.foldOutcome(o, data)
			default:
				m.foldFact(msg)
			}
		}
	}
	return m
}

// mostOfAPerson is how many bytes may be alive for one person and their line.
const mostOfAPerson = 1100

func TestAPersonCostsLittleMemory(t *testing.T) {
	const few, many = 2_000, 12_000
	alive := func(people int) int {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := filled(t, people)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(m)
		return int(after.HeapAlloc) - int(before.HeapAlloc)
	}
	bytes := (alive(many) - alive(few)) / (many - few)
	t.Logf("%d bytes", bytes)
	if bytes > mostOfAPerson {
		t.Errorf("a person costs %d bytes", bytes)
	}
}

package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// stageLabel is the profile label that goroutines of a service carry.
const stageLabel = "stage"

// simulators is the stage of what stands for Microsoft and the phone system.
const simulators = "simulators"

// Stages that are told apart by the functions on the stack, because a label is
// inherited by goroutines that work for another (the broker serves a connection in
// a goroutine that its client started).
var stageOf = []struct {
	stage string
	label string   // "": any
	on    []string // any of these parts of a function's name is on the stack
}{
	{"broker", "", []string{"nats-io/nats-server/"}},
	{simulators, "", []string{"libs/graph/graphsim.", "libs/pbx/pbxsim."}},
	{"receiver: open, RSA", "webhook-receiver", []string{"crypto/rsa.DecryptOAEP", "crypto/rsa.decryptOAEP"}},
	{"receiver: open, rest", "webhook-receiver", []string{"receiver.(*Receiver).open", "receiver.(*opening)"}},
	{"receiver: door", "webhook-receiver", []string{"net/http.(*conn).serve", "net/http.(*http2serverConn)"}},
	{"receiver: bus", "webhook-receiver", nil},
	{"mapper", "presence-mapper", nil},
	{"writer", "pbx-writer", nil},
	{"graph-writer", "graph-writer", nil},
	{"user-sync, contact-sync, poller", "user-sync", nil},
	{"user-sync, contact-sync, poller", "contact-sync", nil},
	{"user-sync, contact-sync, poller", "graph-poller", nil},
	{simulators, simulators, nil},
	{"broker", "broker", nil},
	{"load", "load", nil},
}

// runtimeStage is what no label and no function claims: the garbage collector, the
// scheduler, the network poller.
const runtimeStage = "Go runtime (garbage collector)"

// stage names whose work a sample is.
func stage(label string, stack []string) string {
	for _, s := range stageOf {
		if s.label != "" && s.label != label {
			continue
		}
		if s.on == nil || slices.ContainsFunc(stack, func(f string) bool {
			return slices.ContainsFunc(s.on, func(part string) bool { return strings.Contains(f, part) })
		}) {
			return s.stage
		}
	}
	return runtimeStage
}

// profiled runs do and returns the CPU time of each stage meanwhile. The profile is
// kept if Options.Profile says where.
func (b *Bench) profiled(do func() error) (map[string]time.Duration, error) {
	var raw bytes.Buffer
	if err := pprof.StartCPUProfile(&raw); err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	err := do()
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	if b.Profile != "" {
		if err := os.WriteFile(filepath.Join(b.Profile, b.table+".pprof"), raw.Bytes(), 0o600); err != nil {
			return nil, err
		}
	}
	samples, err := parseProfile(raw.Bytes())
	if err != nil {
		return nil, err
	}
	spent := map[string]time.Duration{}
	for _, s := range samples {
		spent[stage(s.labels[stageLabel], s.stack)] += s.cpu
	}
	return spent, nil
}

// costs writes who used the processors, the most expensive first.
func costs(spent map[string]time.Duration, items int) string {
	var total time.Duration
	for _, d := range spent {
		total += d
	}
	names := slices.SortedFunc(maps.Keys(spent), func(a, b string) int { return cmp.Compare(spent[b], spent[a]) })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %s (%s)", name, short(spent[name]/time.Duration(max(items, 1))), text(percent(float64(spent[name])/float64(max(total, 1))))))
	}
	return strings.Join(parts, ", ")
}

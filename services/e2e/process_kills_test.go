package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/services/offhook/bench"
)

// kill is one process that was killed, and how long it took from the last change after
// it until every user's extension showed the truth.
type kill struct {
	victim string
	took   time.Duration
}

type kills []kill

// report is the benchmark table of kills. That everyone was right in the end is why
// there is one: the test ends where that is not so.
func (k kills) report(size scale, changes int) bench.Report {
	r := bench.Report{Columns: []string{"killed (SIGKILL)", "times", "users compared", "right after: p50", "max"}}
	for _, victim := range victims {
		var took []time.Duration
		for _, each := range k {
			if each.victim == victim {
				took = append(took, each.took)
			}
		}
		if len(took) == 0 {
			r.Wrong = append(r.Wrong, victim+" was never killed")
			continue
		}
		slices.Sort(took)
		r.Rows = append(r.Rows, []string{victim, fmt.Sprint(len(took)), size.users, took[(len(took)-1)/2].String(), took[len(took)-1].String()})
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%d changes in all. A kill meets writes under way; the load ends with it or goes on until writes pass again.", changes))
	return r
}

// print writes the table as `offhook bench` does: to the file OFFHOOK_TABLE, else to
// the test's output.
func (k kills) print(t *testing.T, size scale, changes int) {
	t.Helper()
	out := t.Output()
	if name := os.Getenv("OFFHOOK_TABLE"); name != "" {
		file, err := os.Create(name)
		must(t, err)
		defer file.Close()
		out = io.MultiWriter(file, out)
	}
	must(t, k.write(t, out, size, changes))
}

func (k kills) write(t *testing.T, out io.Writer, size scale, changes int) error {
	return bench.Run(t.Context(), out, bench.Options{Only: []string{"kills"}, Dir: t.TempDir(), More: []bench.Table{{
		Name: "kills",
		What: fmt.Sprintf("Each service and the broker killed in turn under %g changes a second, %d times each; then every user's extension is compared with the truth.", size.rate, size.rounds),
		Aim:  "every user right after every kill: within three sweeps of two seconds, after the broker's death within a minute pass",
		Run:  func(context.Context, *bench.Bench) (bench.Report, error) { return k.report(size, changes), nil },
	}}})
}

func TestTheTableOfKillsNamesEachVictim(t *testing.T) {
	var all kills
	for i, victim := range victims {
		for n := range 3 {
			all = append(all, kill{victim, time.Duration(10*i+n) * time.Second})
		}
	}
	var out bytes.Buffer
	must(t, all.write(t, &out, scale{"40", 20, 3}, 7))
	for _, want := range []string{"## kills", "load average", "| webhook-receiver | 3     | 40             | 1s               | 2s", "| nats             | 3     | 40             | 1m21s            | 1m22s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := all[3:].write(t, &out, scale{"40", 20, 3}, 7); err == nil || !strings.Contains(err.Error(), "webhook-receiver was never killed") {
		t.Errorf("a victim that was never killed is not noticed: %v", err)
	}
}

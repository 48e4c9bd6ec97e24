package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the processes beside it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childOfTests {
		if err := runChild(context.Background(), os.Args[2], os.Args[3:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const childOfTests = "child-of-tests"

// tiny sizes show that the accounts add up, not how fast anything is.
func tiny(t *testing.T, tables ...string) Options {
	return Options{
		Only: tables, Dir: t.TempDir(), Child: []string{os.Args[0], childOfTests},
		Sizes: Sizes{Users: 12, Step: 50 * time.Millisecond, Rounds: 1, Batches: 1, Rate: 60, Duration: time.Second, Burst: 60, Meetings: []int{30}, Phones: []int{30}, Sweeps: []int{700}, Covered: []int{700}, Calendars: []int{60}, People: []int{60}, Contacts: []int{600}},
	}
}

func TestEveryBenchmarkRunsSmall(t *testing.T) {
	for _, table := range Tables() {
		if table.Name == "binaries" {
			continue // builds: see TestBinaries
		}
		t.Run(table.Name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Run(t.Context(), &out, tiny(t, table.Name)); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			for _, wanted := range []string{"## " + table.Name, "fsync of 512 B", "load average", "go1.", "|---"} {
				if !strings.Contains(out.String(), wanted) {
					t.Errorf("no %q in\n%s", wanted, out.String())
				}
			}
		})
	}
}

func TestATableWhoseAccountsDoNotAddUpFailsAndKeepsItsFolder(t *testing.T) {
	o := tiny(t, "wrong")
	o.More = []Table{{Name: "wrong", Run: func(context.Context, *Bench) (Report, error) {
		r := Report{Columns: []string{"sent", "stored"}}
		r.row(2, 1)
		r.check(2 == 1, "2 sent, 1 stored")
		return r, nil
	}}}
	var out bytes.Buffer
	err := Run(t.Context(), &out, o)
	if err == nil || !strings.Contains(err.Error(), "2 sent, 1 stored") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "WRONG: 2 sent, 1 stored") {
		t.Errorf("printed:\n%s", out.String())
	}
	if kept, err := os.ReadDir(o.Dir); err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestATableThatCannotBeMeasuredDoesNotStopTheNext(t *testing.T) {
	broken, ran := errors.New("no such disk"), false
	o := tiny(t, "first", "second")
	o.More = []Table{
		{Name: "first", Run: func(context.Context, *Bench) (Report, error) { return Report{}, broken }},
		{Name: "second", Run: func(context.Context, *Bench) (Report, error) { ran = true; return Report{}, nil }},
	}
	if err := Run(t.Context(), new(bytes.Buffer), o); !errors.Is(err, broken) || !ran {
		t.Errorf("error %v, the second ran: %v", err, ran)
	}
	if kept, err := os.ReadDir(o.Dir); err != nil || len(kept) != 0 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestAnUnknownTableIsRefusedBeforeAnythingRuns(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), &out, tiny(t, "dore")); err == nil || !strings.Contains(err.Error(), `"dore"`) || out.Len() > 0 {
		t.Errorf("error %v, printed %q", err, out.String())
	}
}

func TestTheFullSizesKeepWhatWasGivenByHand(t *testing.T) {
	var got Sizes
	c := Command(Table{Name: "probe", Run: func(_ context.Context, b *Bench) (Report, error) { got = b.Sizes; return Report{}, nil }})
	c.SetArgs([]string{"probe", "--full", "--rate", "7", "--dir", t.TempDir()})
	c.SetOut(new(bytes.Buffer))
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := Full(); got.Rate != 7 || got.Duration != want.Duration || got.Burst != want.Burst {
		t.Errorf("sizes %+v", got)
	}
}

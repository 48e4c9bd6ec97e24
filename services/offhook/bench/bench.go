package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Table is one benchmark.
type Table struct {
	Name string
	// What is measured, and against which floor, in one sentence.
	What string
	// Aim is what the project wants to reach here.
	Aim string
	Run func(context.Context, *Bench) (Report, error)
}

// Report is what a table found out.
type Report struct {
	Columns []string
	Rows    [][]string
	Notes   []string
	// Wrong lists accounts that do not add up: the only way to fail.
	Wrong []string
}

func (r *Report) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = text(c)
	}
	r.Rows = append(r.Rows, texts)
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// check notes an account that does not add up.
func (r *Report) check(ok bool, format string, args ...any) {
	if !ok {
		r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
	}
}

// Options of a run.
type Options struct {
	Only  []string // names of tables; none: all
	Sizes Sizes
	// Dir holds the brokers' files while a table runs: the disk that is measured. "":
	// the directory for temporary files.
	Dir string
	// Child is this program's command line up to the name of a child: what is measured
	// in a process of its own.
	Child []string
	// Source is the folder that holds go.work; "": it is looked for above the
	// working directory. The table of binaries needs it.
	Source string
	// Cold builds everything with an empty cache, too: many minutes.
	Cold bool
	// Profile is a folder for the CPU profiles of tables that make one, or "".
	Profile string
	// More tables, measured after those of this package.
	More []Table
}

// Sizes say how much is measured.
type Sizes struct {
	Users     int           // people in the tenant, each with an extension; Graph's most for one subscription is 650
	Step      time.Duration // how long each concurrency of the door is loaded
	Rounds    int           // how often the door and its floor are measured, in turn
	Batches   int           // POSTs of 100 items for each latency
	Rate      int           // rich notifications a second
	Duration  time.Duration // of that rate
	Burst     int           // notifications at once
	Latency   time.Duration // by which Graph answers late while both come
	Meetings  []int         // due at the same instant
	Phones    []int         // of them on their way to a phone system with a pace
	Sweeps    []int         // users to sweep
	Covered   []int         // users that are swept and on lanes all the while
	Calendars []int         // calendars to read once
	People    []int         // users that get extensions
	Contacts  []int         // contacts that get into phonebooks
}

// Quick is a look, in about three minutes.
func Quick() Sizes {
	return Sizes{Users: 650, Step: 600 * time.Millisecond, Rounds: 9, Batches: 20, Rate: 500, Duration: 10 * time.Second, Burst: 5000, Meetings: []int{2000, 10_000}, Phones: []int{2000}, Sweeps: []int{20_000, 100_000}, Covered: []int{20_000}, Calendars: []int{5_000}, People: []int{2_000}, Contacts: []int{10_000}}
}

// Full is what the project's aims are about.
func Full() Sizes {
	s := Quick()
	s.Step, s.Batches, s.Duration = 2*time.Second, 100, 5*time.Minute
	s.Covered = []int{100_000}
	s.People = []int{100_000}
	s.Contacts = []int{1_000_000}
	return s
}

// Bench is a run under way.
type Bench struct {
	Options
	table string // that runs
	dir   string // its own
}

// Tables lists the tables of this package, in the order in which a change travels.
func Tables() []Table {
	return []Table{doorTable(), batchTable(), pipelineTable(), burstTable(), boundaryTable(), phonesTable(), sweepTable(), coverageTable(), peersTable(), peopleTable(), contactsTable(), binariesTable()}
}

// Run prints the machine and then each table when it is done. It fails if a table
// could not be measured or its accounts do not add up, after the other tables.
func Run(ctx context.Context, out io.Writer, o Options) error {
	tables, err := choose(append(Tables(), o.More...), o.Only)
	if err != nil {
		return err
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	var errs []error
	for _, t := range tables {
		b := &Bench{Options: o, table: t.Name}
		if err := b.run(ctx, out, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// choose picks tables by name and refuses names that are none's.
func choose(all []Table, only []string) ([]Table, error) {
	if len(only) == 0 {
		return all, nil
	}
	var names []string
	var chosen []Table
	for _, t := range all {
		names = append(names, t.Name)
		if slices.Contains(only, t.Name) {
			chosen = append(chosen, t)
		}
	}
	for _, name := range only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no table %q, only %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// run measures and prints one table. The folder of a table whose accounts do not
// add up stays: the services' log is in it.
func (b *Bench) run(ctx context.Context, out io.Writer, t Table) error {
	var err error
	if b.dir, err = os.MkdirTemp(b.Dir, "offhook-bench-"); err != nil {
		return err
	}
	machine, err := look(b.dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	fmt.Fprintf(out, "\n## %s\n\n%s\nAim: %s\n\n%s\n\n", t.Name, t.What, t.Aim, machine)
	began := time.Now()
	report, err := t.Run(ctx, b)
	if err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	report.note("Took %v; load average afterwards %s.", time.Since(began).Round(time.Second), loadAverage())
	if err := report.print(out); err != nil {
		return err
	}
	if len(report.Wrong) > 0 {
		return fmt.Errorf("accounts do not add up (logs in %s):\n  %s", b.dir, strings.Join(report.Wrong, "\n  "))
	}
	return os.RemoveAll(b.dir)
}

// path is a file or folder of this table.
func (b *Bench) path(name string) string { return filepath.Join(b.dir, name) }

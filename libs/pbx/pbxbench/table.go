package pbxbench

import (
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"
)

// writesRow is a row of the table of writes.
type writesRow struct {
	name                   string // of the benchmark
	writes, floor          float64
	ofFloor, driverOfFloor float64 // in percent
	p50, p99               time.Duration
}

func (r writesRow) append(b *testing.B) {
	floor := "| | | |"
	if r.floor > 0 {
		floor = fmt.Sprintf("| %.0f | %.0f %% | %.0f %% |", r.floor, r.ofFloor, r.driverOfFloor)
	}
	appendRow(b, fmt.Sprintf("| %s | %.0f %s %s | %s |", title(r.name), r.writes, floor, brief(r.p50), brief(r.p99)))
}

// memoryRow is a row of the table of memory, in bytes.
type memoryRow struct {
	name              string
	system, extension float64
}

func (r memoryRow) append(b *testing.B) {
	appendRow(b, fmt.Sprintf("| %s | %.0f KiB | %.0f B |", title(r.name), r.system/1024, r.extension))
}

// title is a benchmark's name as a row begins: the driver, which is the package that the
// test program is of, and what follows the first stroke.
func title(name string) string {
	_, rest, _ := strings.Cut(name, "/")
	driver := strings.TrimSuffix(path.Base(os.Args[0]), ".test")
	return strings.TrimSuffix(driver+" | "+strings.ReplaceAll(strings.ReplaceAll(rest, "_", " "), "/", ", "), " | ")
}

// brief is a duration with two digits that mean something.
func brief(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func appendRow(b *testing.B, row string) {
	name := os.Getenv("OFFHOOK_TABLE")
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, row, load()); err != nil {
		b.Fatal(err)
	}
}

// load is the load average of the last minute as a row ends with it; the number of
// processors where there is none.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return fmt.Sprintf("? of %d CPUs |", runtime.NumCPU())
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first + " |"
}

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine is what every figure of a run depends on.
type machine struct {
	cpus  int
	procs int // how many of them Go uses, or more (GOMAXPROCS)
	fsync sample
	load  string
}

// fsyncs is how many times the disk is asked.
const fsyncs = 200

// look measures the machine, and the disk that dir is on.
func look(dir string) (machine, error) {
	m := machine{cpus: runtime.NumCPU(), procs: runtime.GOMAXPROCS(0), load: loadAverage()}
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return m, err
	}
	defer func() { _ = f.Close() }()
	for range fsyncs {
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return m, err
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			return m, err
		}
		m.fsync = append(m.fsync, time.Since(began))
	}
	m.fsync.sorted()
	return m, os.Remove(f.Name())
}

// String is the line above each table.
func (m machine) String() string {
	return fmt.Sprintf("%s %s/%s, %d CPUs, GOMAXPROCS %d, load average %s, fsync of 512 B: p50 %s, p99 %s",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, m.cpus, m.procs, m.load, short(m.fsync.at(0.5)), short(m.fsync.at(0.99)))
}

// loadAverage of the last minute, or "unknown" where the system does not tell.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// cpuTime is what this process has used of its own, and the kernel for it.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident returns how much of a process (its number, or "self") is in memory now and at
// most ever was.
// The peak of getrusage is no use here: a process inherits that of its parent. Zeros
// where there is no /proc (proc_pid_status(5)).
func resident(process string) (now, peak size) {
	text, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		var kib size
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			now = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			peak = kib << 10
		}
	}
	return now, peak
}

package procs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is what to start.
type program struct {
	name        string
	path        string
	args        []string
	environment []string
	dir         string
	log         string // file
}

// Process is a program that runs, has ended, or was killed.
type Process struct {
	program program
	command *exec.Cmd
	ended   chan struct{} // closed when command has ended

	mu      sync.Mutex // guards stopped
	stopped bool       // we ended it
}

func start(p program) (*Process, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	process := &Process{program: p, command: exec.Command(p.path, p.args...), ended: make(chan struct{})}
	c := process.command
	c.Env, c.Dir, c.Stdout, c.Stderr = p.environment, p.dir, log, log
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	go func() {
		_ = c.Wait() // how it ended is in ProcessState
		close(process.ended)
	}()
	return process, nil
}

// Died says how the process ended by itself, or "" if it runs or was ended by us.
func (p *Process) Died() string {
	select {
	case <-p.ended:
	default:
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return ""
	}
	return fmt.Sprintf("%s ended by itself: %s", p.program.name, p.command.ProcessState)
}

// Kill ends the process as a power cut would (SIGKILL) and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the process to end (SIGTERM) and returns its exit code. It kills it
// after ten seconds and returns -1.
func (p *Process) Stop() int {
	patience := time.AfterFunc(10*time.Second, p.Kill)
	defer patience.Stop()
	p.end(syscall.SIGTERM)
	return p.command.ProcessState.ExitCode()
}

func (p *Process) end(s syscall.Signal) {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	_ = p.command.Process.Signal(s) // it may have ended already
	<-p.ended
}

// Pause stops the process without its noticing (SIGSTOP); Resume lets it go on.
func (p *Process) Pause(t testing.TB) { p.signal(t, syscall.SIGSTOP) }

// Resume continues a paused process (SIGCONT).
func (p *Process) Resume(t testing.TB) { p.signal(t, syscall.SIGCONT) }

func (p *Process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v: %v", p.program.name, s, err)
	}
}

// Log returns the last bytes of what the process has written.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.program.log)
	if err != nil {
		return err.Error()
	}
	const most = 8 << 10
	if len(text) > most {
		text = text[bytes.IndexByte(text[len(text)-most:], '\n')+len(text)-most+1:]
	}
	return string(text)
}

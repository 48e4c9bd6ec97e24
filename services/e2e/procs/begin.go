package procs

import "fmt"

// Begin starts a container's program with other arguments and leaves it running: a
// command that waits for somebody. It ends with the test at the latest.
func (s *Stack) Begin(name string, args ...string) *Process {
	s.t.Helper()
	c, ok := s.Project.Services[name]
	if !ok {
		s.t.Fatalf("docker-compose.yml has no container %s in the profiles %v", name, s.options.Profiles)
	}
	s.runs++
	p, err := start(s.program(c, fmt.Sprintf("%s-run-%d", name, s.runs), args))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Kill)
	return p
}

// Ended returns the exit code of a process that has ended.
func (p *Process) Ended() (code int, ended bool) {
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

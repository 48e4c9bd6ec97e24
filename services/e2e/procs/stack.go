package procs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"offhook.dev/libs/run"
)

// Options of a Stack.
type Options struct {
	Root     string   // of the repository
	Profiles []string // of docker-compose.yml
	Binaries Binaries
	// Environment is what .env would set.
	Environment map[string]string
	// Overrides are OFFHOOK_... settings of our services, for shorter waits.
	Overrides map[string]string
	// Without names containers of the profiles that are not started.
	Without []string
}

// Stack is the containers of a compose file as processes.
type Stack struct {
	Project   *types.Project
	Simulator Simulator

	t         testing.TB
	options   Options
	dir       string
	addresses addresses
	redis     string // the redis-server, or ""
	scraper   string // Prometheus, or ""
	collector string // the collector of spans, or ""
	running   map[string]*Process
	runs      int // of Run
}

// New prepares a Stack; Up or Start start processes.
func New(t testing.TB, o Options) *Stack {
	t.Helper()
	project, err := Load(t.Context(), filepath.Join(o.Root, "docker-compose.yml"), o.Environment, o.Profiles...)
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its paths hold the test's name, and YAML would take its commas for
	// its own.
	dir, err := os.MkdirTemp("", "offhook-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Stack{Project: project, t: t, options: o, dir: dir, addresses: reserve(t), redis: Debian(t, "redis-server"), scraper: Debian(t, "prometheus"),
		collector: tool(t, o.Root, "otelcol"), running: map[string]*Process{}}
	s.Simulator = Simulator{"http://" + s.Address("simulator:9480") + "/sim/v1"}
	t.Cleanup(s.down)
	return s
}

// down ends everything and shows the logs of a test that failed.
func (s *Stack) down() {
	for _, name := range slices.Sorted(maps.Keys(s.running)) {
		p := s.running[name]
		if died := p.Died(); died != "" {
			s.t.Error(died)
		}
		p.Kill()
		if s.t.Failed() {
			s.t.Logf("---- %s\n%s", name, p.Log())
		}
	}
}

// Containers are the names of the project's containers that serve, sorted: not
// those that are run for one command (profile cli) or left out, nor those whose
// program is missing here.
func (s *Stack) Containers() []string {
	names := slices.DeleteFunc(s.Project.ServiceNames(), func(name string) bool {
		missing := name == "redis" && s.redis == "" || name == "prometheus" && s.scraper == "" || name == "otel-collector" && s.collector == ""
		return missing || slices.Contains(s.Project.Services[name].Profiles, "cli") || slices.Contains(s.options.Without, name)
	})
	slices.Sort(names)
	return names
}

// Up starts every container when those that it depends on are ready, and waits
// until all are.
func (s *Stack) Up() {
	s.t.Helper()
	containers := s.Containers()
	for len(s.running) < len(containers) {
		before := len(s.running)
		for _, name := range containers {
			if s.running[name] == nil && s.dependenciesRun(name) {
				for need := range s.Project.Services[name].DependsOn {
					if s.running[need] != nil {
						s.Await(need)
					}
				}
				s.Start(name)
			}
		}
		if len(s.running) == before {
			s.t.Fatal("docker-compose.yml: the dependencies go in a circle")
		}
	}
	for _, name := range containers {
		s.Await(name)
	}
}

func (s *Stack) dependenciesRun(name string) bool {
	for need := range s.Project.Services[name].DependsOn {
		if slices.Contains(s.Containers(), need) && s.running[need] == nil {
			return false
		}
	}
	return true
}

// Start starts a container that does not run: at first, or again after Kill or
// Stop, with the same files.
func (s *Stack) Start(name string) *Process {
	s.t.Helper()
	p := s.start(name, name)
	s.running[name] = p
	return p
}

// Replica starts a further instance of a container, as `--scale` does. It has
// addresses of its own.
func (s *Stack) Replica(name, instance string) *Process {
	s.t.Helper()
	shared := s.addresses
	defer func() { s.addresses = shared }()
	s.addresses = maps.Clone(shared)
	own := reserve(s.t)
	for _, port := range listens[name] {
		s.addresses[name+":"+port] = own[name+":"+port]
	}
	p := s.start(name, instance)
	s.running[instance] = p
	s.await(instance, "http://"+s.addresses[name+":9464"]+"/readyz")
	return p
}

func (s *Stack) start(name, instance string) *Process {
	s.t.Helper()
	c, ok := s.Project.Services[name]
	if !ok {
		s.t.Fatalf("docker-compose.yml has no container %s in the profiles %v", name, s.options.Profiles)
	}
	p, err := start(s.program(c, instance, c.Command))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// Process returns the running process of a container or replica.
func (s *Stack) Process(name string) *Process { return s.running[name] }

// Address returns where "container:port" is on this machine.
func (s *Stack) Address(containerPort string) string {
	s.t.Helper()
	address, ok := s.addresses[containerPort]
	if !ok {
		s.t.Fatalf("the table of procs has no %s", containerPort)
	}
	return address
}

// Volume returns the folder of a named volume.
func (s *Stack) Volume(name string) string { return filepath.Join(s.dir, "volumes", name) }

// Ready asks a container whether it is ready, as its own health check would.
func (s *Stack) Ready(ctx context.Context, name string) error {
	switch name {
	case "nats":
		return get(ctx, "http://"+s.addresses["nats:8222"]+"/healthz", nil)
	case "redis":
		return ping(ctx, s.addresses["redis:6379"])
	case "prometheus":
		return get(ctx, "http://"+s.addresses["prometheus:9090"]+"/-/ready", nil)
	case "otel-collector":
		return dial(ctx, s.addresses["otel-collector:4317"])
	case "simulator":
		return run.AskReady(ctx, s.addresses["simulator:9480"])
	}
	return run.AskReady(ctx, s.addresses[name+":9464"])
}

// Await waits until a container is ready, and fails the test if its process ends.
func (s *Stack) Await(name string) {
	s.t.Helper()
	s.Eventually(60*time.Second, func() string {
		if died := s.running[name].Died(); died != "" {
			s.t.Fatal(died)
		}
		if err := s.Ready(s.t.Context(), name); err != nil {
			return name + ": " + err.Error()
		}
		return ""
	})
}

func (s *Stack) await(instance, url string) {
	s.t.Helper()
	s.Eventually(60*time.Second, func() string {
		if err := get(s.t.Context(), url, nil); err != nil {
			return instance + ": " + err.Error()
		}
		return ""
	})
}

// Eventually waits until ok returns "" and fails with what it last said.
func (s *Stack) Eventually(patience time.Duration, ok func() string) {
	s.t.Helper()
	if why := s.Wait(patience, ok); why != "" {
		s.t.Fatalf("after %v: %s", patience, why)
	}
}

// Wait waits until ok returns "", and returns what it last said if that takes
// longer than patience.
func (s *Stack) Wait(patience time.Duration, ok func() string) (why string) {
	deadline := time.Now().Add(patience)
	for {
		if why = ok(); why == "" || time.Now().After(deadline) {
			return why
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Run runs a container's program to its end with other arguments, in its
// environment, and returns what it printed.
func (s *Stack) Run(name string, args ...string) (output string, err error) {
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
	defer p.Kill()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("%s %s does not end", name, strings.Join(args, " "))
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		err = fmt.Errorf("%s %s: exit code %d", name, strings.Join(args, " "), code)
	}
	return p.Log(), err
}

// Logged reports whether a process has logged a text.
func (s *Stack) Logged(name, text string) bool {
	all, err := os.ReadFile(s.running[name].program.log)
	return err == nil && strings.Contains(string(all), text)
}

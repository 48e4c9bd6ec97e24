package procs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// program turns a container into a program of this machine.
func (s *Stack) program(c types.ServiceConfig, instance string, args []string) program {
	s.t.Helper()
	network := c.Name
	if other, shared := strings.CutPrefix(c.NetworkMode, "service:"); shared {
		network = other
	}
	replaced := s.addresses.within(network)
	dir := filepath.Join(s.dir, "containers", instance)
	s.must(os.MkdirAll(dir, 0o700))
	s.mount(c, replaced)
	s.configure(c, dir, replaced)
	rewrite := replacer(replaced)

	p := program{name: instance, dir: dir, log: filepath.Join(dir, "log")}
	for _, a := range args {
		p.args = append(p.args, rewrite.Replace(a))
	}
	p.environment = s.environment(c, instance, rewrite)
	switch service := Service(c); {
	case service != "":
		p.path = s.options.Binaries.path(service)
	case strings.HasPrefix(c.Image, "nats:"):
		p.path = s.options.Binaries.path("nats-server")
	case strings.HasPrefix(c.Image, "redis:") && s.redis != "":
		p.path = s.redis
		p.args = slices.Concat(p.args[1:], []string{"--bind", "127.0.0.1", "--port", port(s.addresses["redis:6379"]), "--dir", dir})
	case strings.HasPrefix(c.Image, "prom/prometheus:") && s.scraper != "":
		p.path = s.scraper
		p.args = append(p.args, "--web.listen-address="+s.addresses["prometheus:9090"])
	case strings.HasPrefix(c.Image, "otel/opentelemetry-collector:") && s.collector != "":
		p.path = s.collector
	default:
		s.t.Fatalf("nothing here stands for container %s (image %s)", c.Name, c.Image)
	}
	return p
}

// mount makes the volumes and adds where they are.
func (s *Stack) mount(c types.ServiceConfig, replaced map[string]string) {
	s.t.Helper()
	for _, v := range c.Volumes {
		host := v.Source
		if v.Type == types.VolumeTypeVolume {
			host = s.Volume(v.Source)
			s.must(os.MkdirAll(host, 0o700))
		}
		replaced[v.Target] = host
	}
}

// configure writes the container's configuration files with addresses and paths of
// this machine, and adds where they are.
func (s *Stack) configure(c types.ServiceConfig, dir string, replaced map[string]string) {
	s.t.Helper()
	rewrite := replacer(replaced)
	for _, file := range c.Configs {
		text, err := os.ReadFile(s.Project.Configs[file.Source].File)
		s.must(err)
		if c.Name == "prometheus" {
			text = s.scrapeLoopback(text)
		}
		host := filepath.Join(dir, filepath.Base(file.Target))
		s.must(os.WriteFile(host, []byte(rewrite.Replace(string(text))), 0o600))
		replaced[file.Target] = host
	}
}

// environment is the container's own, with overrides, and of this machine's only
// what programs need.
func (s *Stack) environment(c types.ServiceConfig, instance string, rewrite *strings.Replacer) []string {
	values := map[string]string{"PATH": os.Getenv("PATH"), "HOME": s.dir, "TMPDIR": os.TempDir()}
	for key, value := range c.Environment {
		if value != nil && *value != "" {
			values[key] = rewrite.Replace(*value)
		}
	}
	if _, ours := values["OFFHOOK_NATS_URL"]; ours {
		maps.Copy(values, s.options.Overrides)
		values["OFFHOOK_INSTANCE"] = instance // a container's host name
		if s.redis == "" {
			delete(values, "OFFHOOK_REDIS_URL")
		}
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list = append(list, key+"="+values[key])
	}
	return list
}

func (s *Stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

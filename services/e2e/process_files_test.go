package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"offhook.dev/libs/run"
	"offhook.dev/services/e2e/procs"
)

func composeFile(t *testing.T) string { return filepath.Join(root(t), "docker-compose.yml") }

// careless lists what a container lacks that all of them should have.
func careless(c types.ServiceConfig) []string {
	var list []string
	bad := func(format string, args ...any) { list = append(list, c.Name+": "+fmt.Sprintf(format, args...)) }
	for _, p := range c.Ports {
		if p.HostIP != "127.0.0.1" {
			bad("port %s is published on %q, not on loopback", p.Published, p.HostIP)
		}
	}
	tag := c.Image[strings.LastIndex(c.Image, ":")+1:]
	if c.Build == nil && (tag == c.Image || tag == "latest") {
		bad("image %s names no version", c.Image)
	}
	if c.Privileged {
		bad("privileged")
	}
	if procs.Service(c) != "" && (!c.ReadOnly || !slices.Contains(c.CapDrop, "ALL") || !slices.Contains(c.SecurityOpt, "no-new-privileges:true")) {
		bad("may write to its image or gain rights")
	}
	if needed := slices.Contains(c.Profiles, "core") || slices.Contains(c.Profiles, "sim"); needed && (c.HealthCheck == nil || len(c.HealthCheck.Test) == 0) {
		bad("no health check")
	}
	for name, need := range c.DependsOn {
		if need.Condition == types.ServiceConditionStarted && slices.Contains(c.Profiles, "core") {
			bad("waits for %s to be started, not to be healthy", name)
		}
	}
	return list
}

func TestTheComposeFileIsCareful(t *testing.T) {
	project, err := procs.Load(t.Context(), composeFile(t), nil, "*")
	must(t, err)
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		for _, problem := range careless(project.Services[name]) {
			t.Error(problem)
		}
	}
	for _, c := range project.Services {
		for _, v := range c.Volumes {
			if inside, err := filepath.Rel(root(t), v.Source); v.Type == types.VolumeTypeBind && (err != nil || strings.HasPrefix(inside, "..")) {
				t.Errorf("%s mounts %s, which is outside the repository", c.Name, v.Source)
			}
		}
	}
	if broker := project.Networks["inside"]; !broker.Internal {
		t.Error("the network of the broker, which asks for no password, is not internal")
	}
}

func TestACarelessContainerIsNoticed(t *testing.T) {
	cases := []struct {
		claim string
		spoil func(*types.ServiceConfig)
	}{
		{"a port for everyone", func(c *types.ServiceConfig) { c.Ports[0].HostIP = "" }},
		{"an image of any version", func(c *types.ServiceConfig) { c.Build, c.Image = nil, "nats" }},
		{"the newest image", func(c *types.ServiceConfig) { c.Build, c.Image = nil, "nats:latest" }},
		{"privileges", func(c *types.ServiceConfig) { c.Privileged = true }},
		{"a writable image", func(c *types.ServiceConfig) { c.ReadOnly = false }},
		{"rights", func(c *types.ServiceConfig) { c.CapDrop = nil }},
		{"no health check", func(c *types.ServiceConfig) { c.HealthCheck = nil }},
		{"no patience", func(c *types.ServiceConfig) {
			c.DependsOn = types.DependsOnConfig{"nats": {Condition: types.ServiceConditionStarted}}
		}},
	}
	project, err := procs.Load(t.Context(), composeFile(t), nil, "*")
	must(t, err)
	careful := project.Services["webhook-receiver"]
	for _, c := range cases {
		container := careful
		container.Ports = slices.Clone(careful.Ports)
		c.spoil(&container)
		if found := careless(container); len(found) != 1 {
			t.Errorf("%s: found %q", c.claim, found)
		}
	}
}

func TestABrokenComposeFileIsRefused(t *testing.T) {
	text, err := os.ReadFile(composeFile(t))
	must(t, err)
	for _, c := range []struct{ claim, old, new string }{
		{"a key that there is not", "    image: redis:7\n", "    image: redis:7\n    restarts: always\n"},
		{"a container that there is not", "nats: {condition: service_healthy}", "mqtt: {condition: service_healthy}"},
		{"a port that is none", "-8443}:8443\"", "-8443}:84430\""},
		{"a configuration that there is not", "source: nats, target", "source: mqtt, target"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			broken := strings.Replace(string(text), c.old, c.new, 1)
			if broken == string(text) {
				t.Fatalf("the file has no %q to break", c.old)
			}
			file := filepath.Join(t.TempDir(), "docker-compose.yml")
			must(t, os.WriteFile(file, []byte(broken), 0o600))
			if _, err := procs.Load(t.Context(), file, nil, "core", "sim"); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// instruction is one of a Dockerfile, its lines joined.
type instruction struct{ name, rest string }

// instructions reads a Dockerfile as far as ours needs it: comments, continued
// lines, no here-documents (docs.docker.com/reference/dockerfile).
func instructions(text string) []instruction {
	var list []instruction
	var line string
	for part := range strings.Lines(text) {
		part = strings.TrimSpace(part)
		if part == "" || strings.HasPrefix(part, "#") {
			continue
		}
		before, continued := strings.CutSuffix(part, `\`)
		line += " " + before
		if continued {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		list, line = append(list, instruction{strings.ToUpper(name), strings.TrimSpace(rest)}), ""
	}
	return list
}

// unbuildable lists what a build of the Dockerfile for these services would miss in
// the tree.
func unbuildable(tree, text string, services []string) []string {
	var list []string
	missing := func(what, name string) {
		if _, err := os.Stat(filepath.Join(tree, name)); err != nil {
			list = append(list, what+" "+name+" is missing")
		}
	}
	built := ""
	for _, i := range instructions(text) {
		words := strings.Fields(i.rest)
		switch {
		case i.name == "COPY" && !strings.Contains(i.rest, "--from="):
			for _, source := range words[:len(words)-1] {
				missing("COPY", source)
			}
		case i.name == "RUN" && strings.Contains(i.rest, "go build"):
			built = words[len(words)-1]
		}
	}
	if !strings.Contains(built, "${SERVICE}") {
		return append(list, "go build does not build ${SERVICE}")
	}
	for _, service := range services {
		missing("go build", filepath.Join(strings.ReplaceAll(built, "${SERVICE}", service), "main.go"))
	}
	return list
}

// There is no Docker daemon where the tests run: that the image builds is read off
// the Dockerfile, not tried.
func TestTheDockerfileBuildsEveryService(t *testing.T) {
	project, err := procs.Load(t.Context(), composeFile(t), nil, "*")
	must(t, err)
	dockerfiles := map[string][]string{}
	for _, c := range project.Services {
		if c.Build == nil {
			continue
		}
		if c.Build.Context != root(t) {
			t.Errorf("%s is built from %s, not from the repository", c.Name, c.Build.Context)
		}
		dockerfiles[c.Build.Dockerfile] = append(dockerfiles[c.Build.Dockerfile], procs.Service(c))
	}
	if len(dockerfiles) != 1 {
		t.Fatalf("there should be one Dockerfile, there are %v", dockerfiles)
	}
	for name, services := range dockerfiles {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		must(t, err)
		for _, problem := range unbuildable(root(t), string(text), services) {
			t.Error(problem)
		}
		last := instruction{}
		for _, i := range instructions(string(text)) {
			if i.name == "USER" || i.name == "ENTRYPOINT" {
				last = i
			}
		}
		if last != (instruction{"ENTRYPOINT", `["/service"]`}) {
			t.Errorf("the image ends with %v; health checks run /service", last)
		}
		broken := strings.Replace(string(text), "COPY libs", "COPY lib", 1)
		if len(unbuildable(root(t), broken, []string{"forgotten"})) != 2 {
			t.Error("a folder and a service that there are not are not noticed")
		}
	}
}

func TestTheHealthCheckSaysWhatIsFailing(t *testing.T) {
	health := run.NewHealth()
	mux := http.NewServeMux()
	health.Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	address := server.Listener.Addr().String()
	everywhere := "0.0.0.0" + address[strings.LastIndex(address, ":"):]

	for _, at := range []string{address, everywhere} {
		health.Set("pbx-writer: system hq", nil)
		if err := run.AskReady(t.Context(), at); err != nil {
			t.Errorf("%s: ready, and yet: %v", at, err)
		}
		health.Set("pbx-writer: system hq", errors.New("does not answer"))
		if err := run.AskReady(t.Context(), at); err == nil || !strings.Contains(err.Error(), "system hq") {
			t.Errorf("%s: a part is failing: %v", at, err)
		}
	}
	server.Close()
	for _, at := range []string{address, "nowhere", ""} {
		if run.AskReady(t.Context(), at) == nil {
			t.Errorf("%q: ready, though nobody listens", at)
		}
	}
}

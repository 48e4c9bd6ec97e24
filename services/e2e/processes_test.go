package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/procs"
)

// programs are all services that docker-compose.yml builds.
var programs = []string{"webhook-receiver", "graph-poller", "presence-mapper", "user-sync", "contact-sync", "pbx-writer", "graph-writer", "control-api", "simulator", "offhook"}

// TestServicesApart runs the services of docker-compose.yml as processes, with a
// real nats-server and a real redis-server. The programs are built once for all of
// its parts.
func TestServicesApart(t *testing.T) {
	binaries := procs.Build(t, root(t), programs...)
	for _, part := range []struct {
		claim string
		try   func(*testing.T, procs.Binaries)
	}{
		{"the compose file comes up and a Teams change reaches the phone", theComposeFileWorks},
		{"metrics and traces of every service arrive where the compose file sends them", everythingIsObserved},
		{"killing each service and the broker in turn loses no change", killedInTurn},
		{"killing each service at random moments of a first run doubles, loses and mixes up nothing", killedInAFirstRun},
		{"every notification is accounted for while the broker dies", everyNotificationIsAccountedFor},
		{"a writer that slept through its lease writes nothing old", sleptThroughTheLease},
		{"Redis forgetting everything, and dying, changes nothing", redisForgets},
		{"an account signs in by device code, also after graph-poller was killed in between", anAccountSignsIn},
	} {
		t.Run(part.claim, func(t *testing.T) { part.try(t, binaries) })
	}
}

func theComposeFileWorks(t *testing.T, binaries procs.Binaries) {
	s := procs.New(t, procs.Options{Root: root(t), Profiles: []string{"core", "sim", "cli"}, Binaries: binaries})
	s.Up()

	for _, name := range s.Containers() {
		// Who has just begun to work for a phone system is not ready until it is connected.
		s.Eventually(30*time.Second, func() string {
			if err := healthCheck(s, name); err != nil {
				return fmt.Sprintf("the health check of %s: %v", name, err)
			}
			return ""
		})
	}
	for _, at := range []string{"simulator:9443", "simulator:9444", "webhook-receiver:8443"} {
		if err := knownByName(t, s, at); err != nil {
			t.Errorf("between containers %s is not trusted: %v", at, err)
		}
	}
	s.Eventually(30*time.Second, func() string { return shows(t, s, 0, presence.Available) })
	if output, err := s.Run("offhook", "sim", "presence", "set", "anna", "Busy/InAMeeting"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	s.Eventually(30*time.Second, func() string { return shows(t, s, 0, presence.DND) })
	s.Eventually(30*time.Second, func() string { return statusSays(s, "anna", "dnd") })

	for _, name := range []string{"control-api", "graph-writer", "pbx-writer", "presence-mapper", "user-sync", "contact-sync", "graph-poller", "webhook-receiver"} {
		if code := s.Process(name).Stop(); code != 0 {
			t.Errorf("%s ended with exit code %d when asked to", name, code)
		}
		if s.Ready(t.Context(), name) == nil || healthCheck(s, name) == nil {
			t.Errorf("%s is ready although it does not run", name)
		}
	}
}

// healthCheck runs the command that the compose file gives for a container of ours;
// those of others (wget, redis-cli) are programs of their images.
func healthCheck(s *procs.Stack, name string) error {
	c := s.Project.Services[name]
	if procs.Service(c) == "" {
		return nil
	}
	test := c.HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" || test[1] != "/service" {
		return fmt.Errorf("%q does not run /service: there is no shell in the image", test)
	}
	output, err := s.Run(name, test[2:]...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(output))
	}
	return nil
}

// knownByName checks what rewriting to loopback hides: that a certificate is for the
// container's name, and of the simulator's authority.
func knownByName(t *testing.T, s *procs.Stack, containerPort string) error {
	t.Helper()
	host, _, _ := strings.Cut(containerPort, ":")
	authority, err := os.ReadFile(filepath.Join(s.Volume("simulated"), "ca.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	dialer := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}}
	c, err := dialer.DialContext(t.Context(), "tcp", s.Address(containerPort))
	if err != nil {
		return err
	}
	return c.Close()
}

// shows compares one extension with a status.
func shows(t *testing.T, s *procs.Stack, user int, want presence.Status) string {
	t.Helper()
	all, err := s.Simulator.Extensions(t.Context())
	must(t, err)
	if all[user].Status != want {
		return fmt.Sprintf("extension %s shows %s, want %s", all[user].Number, all[user].Status, want)
	}
	return ""
}

// statusSays runs `offhook status USER -o json` where the compose file runs it.
func statusSays(s *procs.Stack, user, want string) string {
	output, err := s.Run("offhook", "status", user, "-o", "json")
	if err != nil {
		return err.Error() + ": " + output
	}
	var rows []struct{ Shown string }
	if err := json.Unmarshal([]byte(output), &rows); err != nil {
		return err.Error() + ": " + output
	}
	if len(rows) != 1 || rows[0].Shown != want {
		return "offhook status says " + output
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// notStarted says of each container that no test starts, why.
var notStarted = map[string]string{
	"offhook": "a command: run, not started",
	"jaeger":  "no package, and no file of ours: everythingIsObserved listens in its place, behind a real collector",
	"grafana": "no package: TestGrafanasSourcesAreOfTheComposeFile reads its file",
}

// untried lists the containers that no test starts and that notStarted does not explain.
func untried(containers []string, profiles map[string][]string) []string {
	return slices.DeleteFunc(slices.Clone(containers), func(name string) bool {
		started := slices.ContainsFunc(everything, func(p string) bool { return slices.Contains(profiles[name], p) })
		return started || notStarted[name] != ""
	})
}

func TestEveryContainerOfTheComposeFileIsTried(t *testing.T) {
	project, err := procs.Load(t.Context(), composeFile(t), nil, "*")
	must(t, err)
	profiles := map[string][]string{}
	for name, c := range project.Services {
		profiles[name] = c.Profiles
		if service := procs.Service(c); service != "" && !slices.Contains(programs, service) {
			t.Errorf("container %s runs %s, which is not built", name, service)
		}
	}
	names := slices.Sorted(maps.Keys(profiles))
	if left := untried(names, profiles); len(left) > 0 {
		t.Errorf("no test starts %v", left)
	}
	if left := untried(append(names, "forgotten"), profiles); !slices.Equal(left, []string{"forgotten"}) {
		t.Errorf("a container that nobody starts is not noticed: %v", left)
	}
	for name := range notStarted {
		if _, there := project.Services[name]; !there {
			t.Errorf("why %s is not started explains nothing: there is no such container", name)
		}
	}
}

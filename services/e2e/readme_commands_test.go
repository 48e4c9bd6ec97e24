package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/logtest"
	"offhook.dev/libs/loopback"
	"offhook.dev/libs/run"
	"offhook.dev/services/e2e/world"
)

// readmeCommands lists the lines of the README's shell examples, comments cut off.
func readmeCommands(text string) []string {
	var lines []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			command, _, _ := strings.Cut(line, " #")
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}

// Every command of the README is run as it stands there, but for the compiling: the
// binary is built once. A command that nobody tries fails the test.
func TestTheReadmesCommandsWork(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "offhook")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "./services/offhook")
	build.Dir = root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	home := t.TempDir()
	metrics, err := loopback.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "XDG_CONFIG_HOME="+home, "HOME="+home, "OFFHOOK_API=", "OFFHOOK_SIM=",
		// The world's configuration, beside a development installation that has the usual ports.
		"OFFHOOK_CONTROL_LISTEN=127.0.0.1:0", "OFFHOOK_CONTROL_GRPC_LISTEN=127.0.0.1:0", "OFFHOOK_TELEMETRY_LOG_LEVEL=info",
		"OFFHOOK_TELEMETRY_METRICS_LISTEN="+metrics)
	says := func(text string) func(string) bool {
		return func(said string) bool { return strings.Contains(said, text) }
	}
	try := func(within time.Duration, until func(said string) bool, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		var out logtest.Log
		c := exec.CommandContext(ctx, binary, args...)
		c.Env, c.Stdout, c.Stderr = env, &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for {
			select {
			case err := <-ended:
				if err != nil || !until(out.String()) {
					t.Errorf("offhook %s: %v; it said %q, which is not what was waited for", strings.Join(args, " "), err, out.String())
				}
				return out.String()
			case <-time.After(50 * time.Millisecond):
				if (args[0] == "watch" || args[0] == "run") && until(out.String()) {
					cancel()
					<-ended
					return out.String()
				}
			}
		}
	}

	dev := exec.CommandContext(t.Context(), binary, "dev")
	var said logtest.Log
	dev.Env, dev.Stdout, dev.Stderr = env, &said, &said
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dev.Process.Signal(os.Interrupt); _ = dev.Wait() }()
	eventually(t, time.Minute, "dev is not ready", func() bool { return strings.Contains(said.String(), "ready in") })

	w := world.New(t, world.Options{})
	withoutEndpoint(t, w.File)
	watched := make(chan string, 1)
	for _, command := range readmeCommands(string(text)) {
		args := strings.Fields(strings.TrimPrefix(command, "go run -trimpath ./services/offhook "))
		switch {
		case command == "go run -trimpath ./services/offhook dev": // it runs
		case command == "go run -trimpath ./services/offhook watch":
			go func() { watched <- try(3*time.Minute, says("available -> dnd"), "watch") }()
		case strings.HasPrefix(command, "go run -trimpath ./services/offhook sim "):
			try(20*time.Second, says(""), args...)
		case strings.HasPrefix(command, "go run -trimpath ./services/offhook options set "):
			try(20*time.Second, says("both"), args...)
		case command == "go run -trimpath ./services/offhook sync now users":
			try(time.Minute, says("users of contoso: "), args...)
		case command == "go run -trimpath ./services/offhook plan users":
			try(time.Minute, says("plan contoso-users-"), args...)
		case command == "go run -trimpath ./services/offhook status anna", command == "go run -trimpath ./services/offhook explain anna":
			try(20*time.Second, says("Anna"), args...)
		case command == "offhook doctor --config offhook.yaml":
			try(30*time.Second, says("read presence"), "doctor", "--config", w.File)
		case command == "offhook run --config offhook.yaml":
			try(time.Minute, func(said string) bool {
				return strings.Contains(said, "nothing listens") && run.AskReady(t.Context(), metrics) == nil
			}, "run", "--config", w.File)
		case command == "make test": // it runs this
		default:
			t.Errorf("nobody tries %q", command)
		}
	}
	// On a slow machine the changes above were over before the watch began. Towards less
	// busy is damped by five seconds.
	for next, after := "Busy/InAMeeting", "Available"; ; next, after = after, next {
		select {
		case line := <-watched:
			if !strings.Contains(line, "Anna") {
				t.Errorf("watch said %q", line)
			}
			return
		case <-time.After(7 * time.Second):
			try(20*time.Second, says(""), "sim", "presence", "set", "anna", next)
		}
	}
}

// withoutEndpoint takes the webhook's keys out of a configuration: polling only.
func withoutEndpoint(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	less := regexp.MustCompile(`(?m)^webhook: .*\n`).ReplaceAll(text, nil)
	if len(less) == len(text) {
		t.Fatal("the configuration has no webhook keys to take away")
	}
	if err := os.WriteFile(file, less, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACommandThatNobodyTriesIsFound(t *testing.T) {
	found := readmeCommands("text\n```sh\noffhook fly   # to the moon\n```\n```\nnot this\n```\n")
	if len(found) != 1 || found[0] != "offhook fly" {
		t.Errorf("%q", found)
	}
}

func eventually(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", patience, what)
		}
	}
}

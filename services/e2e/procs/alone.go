package procs

import (
	"os"
	"path/filepath"
	"testing"
)

// Alone starts an instance of a service that no compose file describes, with its files
// under dir, and leaves it running. It ends with the test at the latest.
func Alone(t testing.TB, binaries Binaries, service, instance, dir string, args ...string) *Process {
	t.Helper()
	home := filepath.Join(dir, instance)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := start(program{
		name: instance, path: binaries.path(service), args: args, dir: home, log: filepath.Join(home, "log"),
		environment: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "OFFHOOK_INSTANCE=" + instance},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if died := p.Died(); died != "" {
			t.Error(died)
		}
		p.Kill()
		if t.Failed() {
			t.Logf("---- %s\n%s", instance, p.Log())
		}
	})
	return p
}

package procs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Binaries is a folder of programs, named as the services are.
type Binaries string

// Build builds services and a nats-server of the version that the module requires.
// It uses the flags of the other builds, so that Microsoft's SDK is compiled once.
func Build(t testing.TB, root string, services ...string) Binaries {
	t.Helper()
	dir := t.TempDir()
	packages := []string{"github.com/nats-io/nats-server/v2"}
	for _, s := range services {
		packages = append(packages, "offhook.dev/services/"+s)
	}
	build := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}, packages)...)
	build.Dir = filepath.Join(root, "services")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return Binaries(dir)
}

func (b Binaries) path(name string) string { return filepath.Join(string(b), name) }

// Debian finds a program that Debian has a package for, named as the program, or
// returns "" where there is none. In CI there must be one: else nobody would notice
// that it is no longer tried.
func Debian(t testing.TB, program string) string {
	t.Helper()
	return find(t, program, program, "apt-get install "+program+" (or your system's package)")
}

// tool finds a program that `make tools` builds, under the rules of Debian.
func tool(t testing.TB, root, program string) string {
	t.Helper()
	return find(t, filepath.Join(root, ".tools", program), program, "make tools")
}

func find(t testing.TB, path, program, how string) string {
	t.Helper()
	path, err := exec.LookPath(path)
	if err == nil {
		return path
	}
	missing := "there is no " + program + "; get it with: " + how
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Log(missing + ". What needs it is not tried.")
	return ""
}

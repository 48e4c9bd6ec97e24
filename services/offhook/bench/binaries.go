package bench

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/topology"
)

func binariesTable() Table {
	return Table{
		Name: "binaries", Run: measureBinaries,
		What: "Building all binaries, their sizes, what they carry, and `offhook dev` from its start until every user of the simulated tenant is linked and subscribed to.",
		Aim:  "only binaries that talk to Graph carry Microsoft's SDK",
	}
}

const (
	sdkModule    = "github.com/microsoftgraph/msgraph-sdk-go"
	serverModule = "github.com/nats-io/nats-server/v2"
)

// talkToGraph lists the binaries that may carry the SDK.
func talkToGraph() []string {
	return []string{string(topology.GraphPoller), string(topology.GraphWriter), "offhook"}
}

func measureBinaries(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"binary", "size", "Microsoft's SDK", "a broker"}}
	root := b.Source
	if root == "" {
		var err error
		if root, err = sourceRoot(); err != nil {
			return r, err
		}
	}
	mains, err := filepath.Glob(filepath.Join(root, "services", "*", "main.go"))
	if err != nil || len(mains) == 0 {
		return r, errors.Join(err, errors.New("no services in "+root))
	}
	if b.Cold {
		took, err := build(ctx, root, mains, b.path("cold"), b.path("cache"))
		if err != nil {
			return r, err
		}
		r.note("Build of all with an empty cache: %s.", short(took))
	}
	bin := b.path("bin")
	if _, err := build(ctx, root, mains, bin, ""); err != nil { // warms the cache
		return r, err
	}
	took, err := build(ctx, root, mains, b.path("again"), "")
	if err != nil {
		return r, err
	}
	r.note("Build of all with a warm cache, which is linking: %s.", short(took))
	for _, main := range mains {
		name := filepath.Base(filepath.Dir(main))
		if err := r.binary(name, filepath.Join(bin, name)); err != nil {
			return r, err
		}
	}
	return r, startOfDev(ctx, &r, filepath.Join(bin, "offhook"), b.path("home"))
}

// sourceRoot is the folder with go.work above the working directory.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.work above the working directory: the table needs the source")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// build builds the mains one after the other, stripped.
func build(ctx context.Context, root string, mains []string, into, cache string) (time.Duration, error) {
	began := time.Now()
	for _, main := range mains {
		folder, err := filepath.Rel(root, filepath.Dir(main))
		if err != nil {
			return 0, err
		}
		c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(into, filepath.Base(folder)), "./"+folder)
		c.Dir, c.Env = root, os.Environ() // other flags than the tests' would compile the SDK once more
		if cache != "" {
			c.Env = append(c.Env, "GOCACHE="+cache)
		}
		if said, err := c.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build %s: %w: %s", folder, err, said)
		}
	}
	return time.Since(began), nil
}

// binary reads what was built.
func (r *Report) binary(name, file string) error {
	about, err := os.Stat(file)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	var modules []string
	for _, d := range info.Deps {
		modules = append(modules, d.Path)
	}
	r.carries(name, size(about.Size()), modules)
	return nil
}

// carries adds one line and checks what the binary is made of.
func (r *Report) carries(name string, bytes size, modules []string) {
	yes := map[bool]string{true: "yes", false: "no"}
	sdk := slices.Contains(modules, sdkModule)
	r.row(name, bytes, yes[sdk], yes[slices.Contains(modules, serverModule)])
	r.check(!sdk || slices.Contains(talkToGraph(), name), "%s carries Microsoft's SDK and does not talk to Graph", name)
}

// readyLine is what `offhook dev` prints when it is ready.
const readyLine = "ready in "

// startOfDev measures from exec to ready.
func startOfDev(ctx context.Context, r *Report, program, home string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("offhook dev was not ready within a minute"))
	defer cancel()
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, program, "dev", "--data-dir", filepath.Join(home, "data"))
	// A state folder of its own: an `offhook dev` that runs here is left alone.
	c.Env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return err
	}
	said, found := until(out, readyLine)
	took := time.Since(began)
	if !found {
		return fmt.Errorf("offhook dev: %w: %s%s", errors.Join(context.Cause(ctx), c.Wait()), said, complaint.String())
	}
	r.note("`offhook dev` from exec to ready, with its 25 users linked and subscribed to: %s.", short(took))
	cancel()
	_, _ = io.Copy(io.Discard, out) // until it has ended
	_ = c.Wait()                    // it was interrupted
	return nil
}

// until reads until the text has been read, and returns what it has read.
func until(r io.Reader, wanted string) (string, bool) {
	var said strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		said.Write(buffer[:n])
		if strings.Contains(said.String(), wanted) {
			return said.String(), true
		}
		if err != nil {
			return said.String(), false
		}
	}
}

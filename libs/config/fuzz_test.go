package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// FuzzLoad: any file gives either Problems, each of one whole line, or a Config
// that is the same after it was written down and read again.
func FuzzLoad(f *testing.F) {
	dir := folder(f)
	example, err := os.ReadFile("testdata/example.yaml")
	must(f, err)
	f.Add(example, "info")
	for _, seed := range []string{
		"", "~", "[]", "a: b", "tenants: [{}]", "tenants: [~]\nsystems: {}", "nats: &a {url: *a}", "a: &a [*a]", "---\n---\n",
		"nats: !!binary aGk=", "nats: {url: {}, url: []}", "? [a]\n: b", "data_dir: \"\\0\"", "control:\n\t- x", "<<: {data_dir: x}",
		"systems: [{id: a, driver: memory, options: {a: [1, 0x10, .nan, 1e999, ~, {b: true}], secret: x}}]",
		"systems: [{id: \"a\\nb\", pace: {in_flight: 1.5}}]", "redis: {url: \"redis://:hunter2@c,\"}",
	} {
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, level string) {
		path := filepath.Join(dir, "fuzz.yaml")
		write(t, dir, "fuzz.yaml", data)
		env := []string{"OFFHOOK_TELEMETRY_LOG_LEVEL=" + level, "OFFHOOK_TENANTS_0_LINKS=" + level, "OFFHOOK_" + level}
		for _, env := range [][]string{nil, env} {
			c, err := load(path, env, nil, today)
			if err != nil {
				checkProblems(t, err)
				continue
			}
			if strings.Contains(c.Redis.URL.String()+c.NATS.URL.String(), "<secret>") {
				continue // what is hidden cannot be read again
			}
			written, err := yaml.Marshal(c)
			must(t, err)
			write(t, dir, "again.yaml", written)
			again, err := load(filepath.Join(dir, "again.yaml"), nil, nil, today)
			if err != nil {
				t.Fatalf("written down it is wrong: %v\n%s", err, written)
			}
			if diff := cmp.Diff(c, again, compare); diff != "" {
				t.Fatalf("written down it is another: %s\n%s", diff, written)
			}
		}
	})
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("not Problems: %v", err)
	}
	for _, p := range problems {
		if p.Source == "" || p.What == "" || p.Fix == "" || strings.ContainsAny(p.String(), "\r\n") {
			t.Errorf("a problem that is none: %+v", p)
		}
	}
}

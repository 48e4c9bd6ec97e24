package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected problems")

// TestProblems reads testdata/problems.txtar: cases that change the example and
// say every problem of the result.
//
//	< text    that is in the example once
//	> text    that stands there instead, one or more lines
//	$ A=b     an environment variable
//	- a.b=c   a flag
//	= text    a line of the error
func TestProblems(t *testing.T) {
	const golden = "testdata/problems.txtar"
	archive, err := txtar.ParseFile(golden)
	must(t, err)
	dir := folder(t)
	for i := range archive.Files {
		file := &archive.Files[i]
		t.Run(file.Name, func(t *testing.T) {
			c := parseCase(t, dir, string(file.Data))
			_, err := load(filepath.Join(dir, "case.yaml"), c.env, c.flags, today)
			if err == nil {
				t.Fatal("there is no problem")
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR")
			if *update {
				file.Data = []byte(c.input + "= " + strings.ReplaceAll(got, "\n", "\n= ") + "\n")
				return
			}
			if diff := cmp.Diff(c.want, strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
	if *update {
		must(t, os.WriteFile(golden, txtar.Format(archive), 0o644))
	}
}

type problemCase struct {
	input string // all lines but the expected ones
	env   []string
	flags map[string]string
	want  []string
}

// parseCase writes the changed example as case.yaml.
func parseCase(t *testing.T, dir, text string) problemCase {
	t.Helper()
	example, err := os.ReadFile("testdata/example.yaml")
	must(t, err)
	c := problemCase{flags: make(map[string]string)}
	yaml, old, replacement := string(example), "", []string(nil)
	apply := func() {
		if old == "" {
			return
		}
		if n := strings.Count(yaml, old); n != 1 {
			t.Fatalf("%q is in the example %d times", old, n)
		}
		yaml = strings.Replace(yaml, old, strings.Join(replacement, "\n"), 1)
		old, replacement = "", nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) < 2 {
			t.Fatalf("line %q", line)
		}
		rest := line[2:]
		switch line[:2] {
		case "< ":
			apply()
			old = rest
		case "> ":
			replacement = append(replacement, strings.ReplaceAll(rest, `\n`, "\n"))
		case "$ ":
			c.env = append(c.env, rest)
		case "- ":
			key, value, _ := strings.Cut(rest, "=")
			c.flags[key] = value
		case "= ":
			c.want = append(c.want, rest)
			continue
		default:
			t.Fatalf("line %q", line)
		}
		c.input += line + "\n"
	}
	apply()
	write(t, dir, "case.yaml", []byte(yaml))
	return c
}

func TestNearest(t *testing.T) {
	words := []string{"presence", "users", "contacts", "links", "id"}
	for name, want := range map[string]string{
		"mood": "", "presense": "presence", "user": "users", "Contacts": "contacts", "ID": "id", "link": "links", "systems": "", "x": "",
	} {
		if got := nearest(name, words); got != want {
			t.Errorf("nearest(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestCron(t *testing.T) {
	for _, text := range []string{
		"0 2 * * *", "*/15 0-6,22-23 1,15 * mon-fri", "59 23 31 dec 7", "0 0 29 2 *", "0 0 31 2 1", "5/10 * * * SUN",
	} {
		if err := checkCron(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "2 * * *", "0 2 * * * *", "60 2 * * *", "0 24 * * *", "0 2 0 * *", "0 2 * 13 *", "0 2 * * 8", "0 2 * * fri-mon",
		"5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *",
		"@daily", "1-2-3 * * * *", "*/2/3 * * * *",
	} {
		if checkCron(text) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestTimeOfDay(t *testing.T) {
	for text, want := range map[string]TimeOfDay{"04:00": 240, "4:00": 240, "00:00": 0, "23:59": 1439} {
		var got TimeOfDay
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"24:00", "4", "04:60", "-1:00", "04:00:00"} {
		if err := new(TimeOfDay).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
	if got := fmt.Sprint(TimeOfDay(65)); got != "01:05" {
		t.Errorf("65 minutes print as %s", got)
	}
}

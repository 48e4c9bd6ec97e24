package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/apitest"
	"offhook.dev/services/simulator/simulator"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// command carries out one command line as in a shell without quoting beyond '...'.
func command(t *testing.T, line string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{now: time.Now, zone: time.UTC}
	code = a.run(t.Context(), words(line), &out, &errs)
	return out.String(), errs.String(), code
}

func words(line string) []string {
	var all []string
	for _, each := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1) {
		all = append(all, strings.Trim(each, "'"))
	}
	return all[1:] // without "offhook"
}

// home gives the test a configuration folder of its own and no environment.
func home(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("OFFHOOK_API", "")
	t.Setenv("OFFHOOK_SIM", "")
}

// What differs from run to run. Hours do not, in this scene.
var changing = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(\.\d+)?`), "<clock>"},
	{regexp.MustCompile(`"age_ms": \d{4,}`), `"age_ms": <age>`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`\d+ min`), "<age>"},
	{regexp.MustCompile(`"id": "[A-Z2-7]{26}"`), `"id": "<id>"`},
	{regexp.MustCompile(` +\n`), "\n"},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "}, // columns are as wide as what stands in them
}

func normal(text string) string {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.with)
	}
	return text
}

// TestCommands carries out the command lines of a golden file, which begin with
// "$ ", against a real control API and simulator, and compares what they print:
// standard output as it is, standard error after "! ", exit codes other than 0.
func TestCommands(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	sim, err := simulator.Start(t.Context(), simulator.Options{Dir: t.TempDir(), Users: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	stage.Planned(t, apitest.APlan(thePlan))
	stage.Synchronises(t, golden)
	dev := DevFile{API: stage.URL, Sim: sim.Control}
	if err := WriteDevFile(dev); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/commands.golden"
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		if strings.HasPrefix(line, "# ") {
			got.WriteString("\n" + line)
		}
		if !strings.HasPrefix(line, "$ ") {
			continue
		}
		stdout, stderr, code := command(t, line[2:])
		got.WriteString("\n" + line + normal(stdout))
		for each := range strings.Lines(normal(stderr)) {
			got.WriteString("! " + each)
		}
		if code != 0 {
			got.WriteString("exit " + string(rune('0'+code)) + "\n")
		}
	}
	text := strings.TrimPrefix(got.String(), "\n")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != string(want) {
		t.Fatalf("the output differs from %s (rewrite it with -update and read what changed):\n%s", file, text)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" || c.Args == nil {
			t.Errorf("%s: short %q, example %q, checks its arguments: %v", c.CommandPath(), c.Short, c.Example, c.Args != nil)
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk((&app{now: time.Now, zone: time.UTC}).root())
}

// wrong is a configuration with problems of the file itself and of drivers.
const wrong = `colour: red
webhook: {public_url: "https://offhook.example.com"}
systems:
  - {id: a, driver: cisco, url: "https://a.example.com"}
  - {id: b, driver: sip-presence, url: "sip:b.example.com",
     options: {domian: example.com}}
  - {id: c, driver: memory, options: {extensions: many}}
`

func TestExitCodes(t *testing.T) {
	home(t)
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, line string
		code       int
		says       string
	}{
		{"help", "offhook --help", 0, ""},
		{"help of a command", "offhook status --help", 0, ""},
		{"nothing", "offhook", 0, ""},
		{"a group alone", "offhook sim presence", 0, ""},
		{"unknown command", "offhook frobnicate", 2, "OH-CLI-USAGE"},
		{"unknown command below", "offhook sim frobnicate", 2, "OH-CLI-USAGE"},
		{"unknown flag", "offhook status --frobnicate", 2, "OH-CLI-USAGE"},
		{"too many arguments", "offhook status anna ben", 2, "OH-CLI-USAGE"},
		{"a missing argument", "offhook explain", 2, "OH-CLI-USAGE"},
		{"a format that there is not", "offhook status -o yaml", 2, "table or json"},
		{"a status that is missing", "offhook set anna", 2, "a status is missing"},
		{"a status and its opposite", "offhook set anna dnd --clear", 2, "which is it"},
		{"a withdrawal with an end", "offhook set anna none --until 14:00", 2, "no end"},
		{"an end that cannot be read", "offhook set anna dnd --until tomorrow", 2, "tomorrow"},
		{"an end that is over", "offhook pause anna --until -1h", 2, "over"},
		{"a pause of nobody", "offhook pause", 2, "OH-CLI-USAGE"},
		{"options alone", "offhook options", 0, ""},
		{"options of no tenant", "offhook options set mode=both", 2, "--tenant"},
		{"nothing to set", "offhook options set --tenant contoso", 2, "OH-CLI-USAGE"},
		{"no value", "offhook options set --tenant contoso mode", 2, "key=value"},
		{"nobody there to ask for options", "offhook options show --tenant contoso --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"a time that cannot be read", "offhook explain anna --at tomorrow", 2, "tomorrow"},
		{"an address that is none", "offhook status --api nonsense", 2, "OH-CLI-ADDRESS"},
		{"nobody there", "offhook status --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"nobody there to watch", "offhook watch --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"no simulator known", "offhook sim users", 1, "OH-CLI-SIM"},
		{"a plan of nothing", "offhook plan", 2, "OH-CLI-USAGE"},
		{"a plan of what is neither", "offhook plan cats", 2, "users or contacts"},
		{"nothing to apply", "offhook apply", 2, "OH-CLI-USAGE"},
		{"sync alone", "offhook sync", 0, ""},
		{"sync of what is neither", "offhook sync now cats", 2, "users or contacts"},
		{"nobody there to plan", "offhook plan users --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"nobody there to print a plan", "offhook plan contoso-users-1a2b3c4d5e --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"nobody there to apply", "offhook apply contoso-users-1a2b3c4d5e --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"nobody there to synchronise", "offhook sync now --api http://127.0.0.1:1", 1, "OH-CLI-UNREACHABLE"},
		{"version", "offhook version", 0, ""},
		{"run without a configuration", "offhook run", 2, "OH-CLI-USAGE"},
		{"run with a configuration that is not there", "offhook run --config /nowhere", 2, "OH-CONFIG"},
	}
	for _, command := range []string{"run", "doctor"} {
		for _, problem := range []string{"wrong.yaml:1: colour: ", "wrong.yaml:2: webhook.tls.cert_file: ", "wrong.yaml:4: systems[0].driver: \"cisco\" is not known here; ",
			"wrong.yaml:6: systems[1].options.domian: ", "wrong.yaml:6: systems[1].options.domain: ", "wrong.yaml:7: systems[2].options.extensions: "} {
			cases = append(cases, struct {
				name, line string
				code       int
				says       string
			}{command + " says " + problem, "offhook " + command + " --config " + file, 2, problem})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := command(t, c.line)
			if code != c.code || !strings.Contains(stderr, c.says) || code != 0 && !strings.Contains(stderr, "fix:") {
				t.Fatalf("exit %d, %q; want %d and %q with a fix", code, stderr, c.code, c.says)
			}
		})
	}
}

func TestAnInterruptIsNoFailure(t *testing.T) {
	home(t)
	stage := apitest.Start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		ended <- Run(ctx, []string{"watch", "--api", stage.URL}, writer, writer)
		writer.Close()
	}()
	cancel()
	if code := <-ended; code != 0 {
		said := make([]byte, 1000)
		n, _ := reader.Read(said)
		t.Fatalf("exit %d: %s", code, said[:n])
	}
}

func TestPeoplesNamesCannotMoveTheCursor(t *testing.T) {
	if got := plain("Anna\x1b[2J\r\nAlbers\u009b31m \u00e9"); got != "Anna?[2J??Albers?31m é" {
		t.Fatalf("%q", got)
	}
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	var buffer bytes.Buffer
	if wantsColor(&buffer) {
		t.Error("a buffer is no terminal")
	}
	terminal, err := os.OpenFile("/dev/null", os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !wantsColor(terminal) {
		t.Error("a terminal gets colours")
	}
	t.Setenv("NO_COLOR", "1")
	if wantsColor(terminal) {
		t.Error("NO_COLOR is not heeded")
	}
	if got := (&app{color: true}).status("dnd") + (&app{}).status("dnd") + (&app{color: true}).status(""); got != "\x1b[31mdnd\x1b[0mdnd-" {
		t.Errorf("%q", got)
	}
}

func TestMomentsAsPeopleGiveThem(t *testing.T) {
	berlin := time.FixedZone("CEST", 2*3600)
	now := time.Date(2026, 6, 2, 9, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		"09:00": "2026-06-02T09:00:00+02:00", "9:00": "2026-06-02T09:00:00+02:00",
		"23:15:30":         "2026-06-01T23:15:30+02:00", // has not come yet today
		"2026-05-31 14:05": "2026-05-31T14:05:00+02:00", "2026-05-31T14:05:06": "2026-05-31T14:05:06+02:00",
		"2026-05-31T14:05:00Z": "2026-05-31T14:05:00Z", "20m": "2026-06-02T09:10:00+02:00", "-1h30m": "2026-06-02T08:00:00+02:00",
	} {
		if got, err := parseMoment(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	for _, text := range []string{"", "tomorrow", "25:00", "14", "2026-13-01 10:00"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

func TestEndsAsPeopleGiveThem(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 2, 9, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		"14:00": "2026-06-02T14:00:00+02:00", "9:31": "2026-06-02T09:31:00+02:00",
		"09:30": "2026-06-03T09:30:00+02:00", "00:00": "2026-06-03T00:00:00+02:00", // the next ones
		"2026-06-05 14:05": "2026-06-05T14:05:00+02:00", "2026-06-05T14:05:00Z": "2026-06-05T14:05:00Z", "1h30m": "2026-06-02T11:00:00+02:00",
	} {
		if got, err := parseEnd(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	evening := time.Date(2026, 3, 28, 22, 0, 0, 0, berlin) // clocks jump in the night
	if got, err := parseEnd("14:00", evening); err != nil || got.Format(time.RFC3339) != "2026-03-29T14:00:00+02:00" {
		t.Errorf("over a change of clocks: %s, %v", got.Format(time.RFC3339), err)
	}
	for _, text := range []string{"", "tomorrow", "25:00", "14", "2026-13-01 10:00"} {
		if got, err := parseEnd(text, now); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

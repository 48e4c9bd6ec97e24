package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/offhook/bench"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

func (a *app) newRun() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run everything in one process, against real systems",
		Long: "Runs all services in this process. The broker is embedded, its files under data_dir,\n" +
			"unless nats.url is set.",
		Example: "  offhook run --config /etc/offhook/offhook.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usage(c, "there is no configuration: --config is missing")
			}
			conf, err := loadConfig(file)
			if err != nil {
				return err
			}
			options := run.Options{Name: "offhook", Instance: run.Instance(), LogTo: c.ErrOrStderr()}
			if conf.NATS.URL.IsZero() {
				broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(conf.DataDir, "nats")})
				if err != nil {
					return err
				}
				defer broker.Close()
				options.Broker = broker
				shareProcessors()
			}
			return run.Process(c.Context(), conf, options, parts()...)
		},
	}
	configFlag(c, &file)
	return c
}

// shareProcessors lets more goroutines run at once than there are processors. The
// embedded broker waits in fsync thousands of times a second, and each wait holds a
// processor of Go's scheduler until it notices: with one for each CPU, decisions
// stood still behind the disk while the CPUs were idle (docs/benchmarks.md).
func shareProcessors() { runtime.GOMAXPROCS(max(8, 4*runtime.NumCPU())) }

// newBench measures under the conditions of `offhook run`.
func newBench() *cobra.Command {
	c := bench.Command()
	c.PreRun = func(*cobra.Command, []string) { shareProcessors() }
	return c
}

func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "config", os.Getenv("OFFHOOK_CONFIG"), "configuration `file` (default OFFHOOK_CONFIG)")
}

// loadConfig reports all problems of the configuration as a usage error: those that
// the file has by itself and those that the services find in it.
func loadConfig(file string) (config.Config, error) {
	c, err := config.Load(file, os.Environ(), nil, run.Checks(parts()...)...)
	if err != nil {
		return c, usageError{&api.Problem{Code: "OH-CONFIG", What: err.Error(), Where: file, Fix: "correct these and check with `offhook doctor --config " + file + "`"}}
	}
	return c, nil
}

// exitProblems is what `offhook doctor` ends with when a check failed.
var exitProblems = &api.Problem{Code: "OH-DOCTOR", What: "there are problems", Fix: "do what stands beside them"}

func (a *app) newDoctor() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Check an installation and say how to mend what is wrong",
		Long:    "Checks the configuration, the broker, Microsoft 365 and every phone system, and asks Offhook, where it\nruns, how its lanes do and what its plans are. It changes nothing that stays, unless --write allows a trial: an\nextension is then made to show the status that it shows already.\nExit code 0: all well; 1: problems; 2: the checks could not be run.",
		Example: "  offhook doctor --config offhook.yaml\n  offhook doctor --write hq/204\n  offhook doctor -o json",
		Args:    cobra.NoArgs,
	}
	configFlag(c, &file)
	output, address := outputFlag(c), c.Flags().String("api", "", "`address` of the control API (default OFFHOOK_API, or control.listen of the configuration)")
	write := c.Flags().StringSlice("write", nil, "`system/extension` whose status may be written as a trial; may be repeated")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := loadConfig(file)
		if err != nil {
			return err
		}
		trials, err := linesNamed(conf, *write)
		if err != nil {
			return usage(c, err.Error())
		}
		client, err := apiClient(cmp.Or(*address, os.Getenv("OFFHOOK_API"), reachedAt(conf.Control.Listen)))
		if err != nil {
			return err
		}
		lanes := func(ctx context.Context) (all []api.Lane, err error) {
			err = client.get(ctx, "/api/v1/lanes", nil, &all)
			return all, err
		}
		plans := func(ctx context.Context) (all []api.Plan, err error) {
			err = client.get(ctx, "/api/v1/plans", nil, &all)
			return all, err
		}
		phonebooks := func(ctx context.Context) (all []books.State, err error) {
			err = client.get(ctx, "/api/v1/phonebooks", nil, &all)
			return all, err
		}
		print := doctorPrinter(c.OutOrStdout())
		if output.json() {
			print = nil
		}
		checks := doctor.Run(c.Context(), conf, doctor.Options{Now: a.now(), OpenSystem: writer.OpenDriver, Write: trials, Lanes: lanes, Plans: plans, Phonebooks: phonebooks, Each: print})
		if output.json() {
			if err := printJSON(c.OutOrStdout(), checks); err != nil {
				return err
			}
		}
		for _, check := range checks {
			if !check.OK {
				return exitProblems
			}
		}
		return nil
	}
	return c
}

// linesNamed reads texts like hq/204, of systems that are configured.
func linesNamed(conf config.Config, texts []string) (lines []identity.Line, err error) {
	for _, text := range texts {
		id, number, found := strings.Cut(text, "/")
		if !found {
			return nil, fmt.Errorf("%q is no system and extension: write it like hq/204", text)
		}
		if !slices.ContainsFunc(conf.Systems, func(s config.System) bool { return s.ID == id }) {
			return nil, fmt.Errorf("%q: there is no system %q in the configuration", text, id)
		}
		ext, err := identity.ParseExtension(number)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		lines = append(lines, identity.Line{System: identity.System(id), Extension: ext})
	}
	return lines, nil
}

// reachedAt is the URL of what listens at an address on this machine.
func reachedAt(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "" // the configuration has refused it
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// doctorPrinter prints checks as they come, under a heading for each group.
func doctorPrinter(w io.Writer) func(doctor.Check) {
	group := ""
	marks := map[string]string{"ok": "✓", "warning": "‼", "problem": "×"}
	return func(c doctor.Check) {
		if c.Group != group {
			group = c.Group
			fmt.Fprintln(w, group)
		}
		fmt.Fprintf(w, "  %s %-60s %s\n", marks[c.Level], plain(c.Check), c.Code)
		if c.Cause != "" {
			fmt.Fprintf(w, "      %s\n", plain(c.Cause))
		}
		if c.Fix != "" {
			fmt.Fprintf(w, "      fix: %s\n", plain(c.Fix))
		}
	}
}

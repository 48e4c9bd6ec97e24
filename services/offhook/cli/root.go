package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what the commands share.
type app struct {
	now   func() time.Time
	zone  *time.Location // of the times that people read
	color bool
	live  bool // standard error is a terminal: progress is shown there
}

// Run carries out one command line and returns the exit code. It ends early when
// ctx does.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return (&app{now: time.Now, zone: time.Local, color: wantsColor(stdout), live: isTerminal(stderr)}).run(ctx, args, stdout, stderr)
}

func (a *app) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitOK
	}
	printError(stderr, err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "offhook",
		Short: "Keeps Microsoft 365 and phone systems telling the same truth",
		Long: "Offhook keeps Microsoft 365 and a company's phone systems telling the same truth:\n" +
			"whoever is in a Teams call or a meeting does not get a ringing phone.",
		Example:       "  offhook dev                                      everything, against a simulated tenant\n  offhook sim presence set anna Busy/InAMeeting    in a second terminal\n  offhook watch",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	group(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err.Error()) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.commands()...)
	checkUsage(root)
	return root
}

// commands lists the commands of the first level. This is the one place where a
// new one is added.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.newDev(), a.newRun(), a.newDoctor(), a.newStatus(), a.newWatch(), a.newExplain(),
		a.newSet(), a.newPause(), a.newResume(), a.newOptions(), a.newPlan(), a.newApply(), a.newSync(),
		a.newAuthorize(), a.newDeauthorize(), a.newLanes(), a.newSim(), newBench(), newVersion(),
	}
}

// group makes a command that only has others below it refuse what is none of them.
func group(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("there is no command %q", strings.TrimSpace(c.CommandPath()+" "+args[0]))
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// checkUsage makes wrong arguments of any command a usage error.
func checkUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(c, err.Error())
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		checkUsage(below)
	}
}

// usageError is a mistake in the command line or configuration: exit code 2.
type usageError struct{ *api.Problem }

// Unwrap makes the problem visible to errors.As.
func (e usageError) Unwrap() error { return e.Problem }

func usage(c *cobra.Command, what string) error {
	return usageError{&api.Problem{Code: "OH-CLI-USAGE", What: what, Where: c.CommandPath(), Fix: "see `" + c.CommandPath() + " --help`"}}
}

// printError prints what, where and how to fix it.
func printError(w io.Writer, err error) {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		p = &api.Problem{Code: "OH-CLI", What: err.Error()}
	}
	fmt.Fprintf(w, "%s %s\n", p.Code, p.What)
	if p.Where != "" {
		fmt.Fprintf(w, "  where: %s\n", p.Where)
	}
	if p.Fix != "" {
		fmt.Fprintf(w, "  fix:   %s\n", p.Fix)
	}
}

// wantsColor says whether w is a terminal whose user has not asked for plain text
// (https://no-color.org).
func wantsColor(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// isTerminal says whether somebody looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

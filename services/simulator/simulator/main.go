package simulator

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
)

// Main runs a simulator alone and returns the exit code: 0 stopped as asked, 1
// broken, 2 wrong usage. Every flag can also be set as OFFHOOK_SIM_....
func Main(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	o, health, err := parse(args, env, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "OH-SIM-USAGE %v\n  fix: see simulator --help\n", err)
		return 2
	}
	if health {
		err = run.AskReady(ctx, o.ControlListen)
	} else {
		err = serve(ctx, o, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "OH-SIM %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, o Options, stdout io.Writer) error {
	return Run(ctx, o, func(s *Simulator) {
		fmt.Fprintf(stdout, "graph    %s\n3cx      %s\ncontrol  %s\nfiles    %s\n", s.Graph.GraphURL(), s.PBX.URL(), s.Control, s.Dir)
	})
}

func parse(args []string, env func(string) string, stderr io.Writer) (o Options, health bool, err error) {
	var problems []error
	flags := flag.NewFlagSet("simulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := func(flag string) string { return "OFFHOOK_SIM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }
	text := func(to *string, flag, standard, usage string) {
		flags.StringVar(to, flag, cmp.Or(env(name(flag)), standard), usage+" ("+name(flag)+")")
	}
	number := func(flag string, standard uint64, usage string) *uint64 {
		if set := env(name(flag)); set != "" {
			n, err := strconv.ParseUint(set, 10, 31)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %q is not a number", name(flag), set))
			}
			standard = n
		}
		return flags.Uint64(flag, standard, usage+" ("+name(flag)+")")
	}
	var hosts, webhooks, system string
	text(&o.Dir, "dir", "simulator", "`folder` for the CA, certificates and secrets")
	text(&o.GraphListen, "graph-listen", "127.0.0.1:9443", "`address` of Graph and its login (HTTPS)")
	text(&o.PBXListen, "pbx-listen", "127.0.0.1:9444", "`address` of the 3CX (HTTPS)")
	text(&o.ControlListen, "control-listen", "127.0.0.1:9480", "`address` of the control interface (HTTP, no sign-in)")
	text(&hosts, "hosts", "", "`names` of this machine beside loopback, separated by commas")
	text(&webhooks, "webhook-hosts", "", "`names` of the webhook receiver for its certificate, separated by commas")
	text(&system, "system", "hq", "`id` of the phone system")
	text(&o.Account, "account", "", "`user` who has signed in for presence subscriptions; - for nobody")
	users := number("users", 20, "how many users there are")
	extensions := number("extensions", 0, "how many of them have an extension; 0: all")
	seed := number("seed", 0, "varies the names")
	flags.BoolVar(&health, "health", false, "ask the simulator that runs at control-listen whether it is ready, and exit 0 or 1")
	if err := flags.Parse(args); err != nil {
		return o, false, err
	}
	if flags.NArg() > 0 {
		problems = append(problems, fmt.Errorf("%q is not expected", flags.Arg(0)))
	}
	if o.System, err = identity.ParseSystem(system); err != nil {
		problems = append(problems, err)
	}
	if *users < 1 || *users > 1_000_000 || *extensions > *users {
		problems = append(problems, fmt.Errorf("%d users with %d extensions: give 1 to 1000000 users and no more extensions than users", *users, *extensions))
	}
	o.Users, o.Extensions, o.Seed, o.Hosts, o.WebhookHosts = int(*users), int(*extensions), *seed, list(hosts), list(webhooks)
	return o, health, errors.Join(problems...)
}

// list splits at commas; "" is no names.
func list(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

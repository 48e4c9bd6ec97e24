package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Command is `offhook bench`. More tables follow those of this package.
func Command(more ...Table) *cobra.Command {
	o := Options{Sizes: Quick(), More: more}
	var full bool
	var names []string
	for _, t := range append(Tables(), more...) {
		names = append(names, fmt.Sprintf("  %-10s %s", t.Name, t.What))
	}
	c := &cobra.Command{
		Use:   "bench [table...]",
		Short: "Measures this machine: tables with their floors",
		Long: "Measures Offhook on this machine and prints tables, each with a floor from the same run.\n" +
			"Nothing fails for being slow; a table whose accounts do not add up does.\n\n" + strings.Join(names, "\n"),
		Args:    cobra.ArbitraryArgs,
		Example: "  offhook bench\n  offhook bench pipeline --rate 300 --duration 1m\n  offhook bench --full",
		RunE: func(c *cobra.Command, args []string) error {
			o.Only = args
			if full {
				o.Sizes = withFlags(c, Full(), o.Sizes)
			}
			if o.Sizes.Users < 1 || o.Sizes.Rate < 1 || o.Sizes.Duration <= 0 {
				return errors.New("--users, --rate and --duration must be positive")
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Child = []string{program, c.Name()}
			return Run(c.Context(), c.OutOrStdout(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&full, "full", false, "the sizes of the project's aims: 500/s for five minutes")
	f.IntVar(&o.Sizes.Users, "users", o.Sizes.Users, "people in the simulated tenant, at most 650")
	f.IntVar(&o.Sizes.Rate, "rate", o.Sizes.Rate, "rich notifications a second in the table pipeline")
	f.DurationVar(&o.Sizes.Duration, "duration", o.Sizes.Duration, "how long they come")
	f.IntVar(&o.Sizes.Burst, "burst", o.Sizes.Burst, "notifications at once in the table burst")
	f.IntSliceVar(&o.Sizes.Meetings, "meetings", o.Sizes.Meetings, "meetings at the same instant in the table boundary")
	f.IntSliceVar(&o.Sizes.Phones, "phones", o.Sizes.Phones, "meetings at the same instant in the table phones")
	f.DurationVar(&o.Sizes.Latency, "latency", 0, "how late Graph and its login answer in the tables pipeline and burst")
	f.IntSliceVar(&o.Sizes.Sweeps, "sweep", o.Sizes.Sweeps, "users in the table sweep")
	f.IntSliceVar(&o.Sizes.Covered, "covered", o.Sizes.Covered, "users in the table coverage")
	f.IntSliceVar(&o.Sizes.Calendars, "calendars", o.Sizes.Calendars, "calendars in the table peers")
	f.IntSliceVar(&o.Sizes.People, "people", o.Sizes.People, "users in the table people")
	f.IntSliceVar(&o.Sizes.Contacts, "contacts", o.Sizes.Contacts, "contacts in the table contacts")
	f.StringVar(&o.Dir, "dir", "", "folder on the disk to measure (default: that of temporary files)")
	f.StringVar(&o.Profile, "profile", "", "folder for CPU profiles, to look at with `go tool pprof`")
	f.BoolVar(&o.Cold, "cold", false, "also build with an empty cache, which takes minutes")
	for _, child := range children() {
		c.AddCommand(&cobra.Command{
			Use: child.name, Hidden: true, Args: cobra.ExactArgs(child.args), Short: child.what, Example: "  offhook bench",
			RunE: func(c *cobra.Command, args []string) error {
				return child.run(c.Context(), args, c.InOrStdin(), c.OutOrStdout())
			},
		})
	}
	return c
}

// withFlags takes the sizes that were given by hand over those of a preset.
func withFlags(c *cobra.Command, preset, given Sizes) Sizes {
	changed := c.Flags().Changed
	for name, take := range map[string]func(){
		"users":     func() { preset.Users = given.Users },
		"rate":      func() { preset.Rate = given.Rate },
		"duration":  func() { preset.Duration = given.Duration },
		"burst":     func() { preset.Burst = given.Burst },
		"meetings":  func() { preset.Meetings = given.Meetings },
		"phones":    func() { preset.Phones = given.Phones },
		"latency":   func() { preset.Latency = given.Latency },
		"sweep":     func() { preset.Sweeps = given.Sweeps },
		"covered":   func() { preset.Covered = given.Covered },
		"calendars": func() { preset.Calendars = given.Calendars },
		"people":    func() { preset.People = given.People },
		"contacts":  func() { preset.Contacts = given.Contacts },
	} {
		if changed(name) {
			take()
		}
	}
	return preset
}

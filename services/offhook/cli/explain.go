package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

func (a *app) newExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain USER", Short: "Why a user's extensions show what they show",
		Long: "Say in one sentence why each extension of a user shows what it shows, now or at a\n" +
			"moment of the last 7 days, with the chain from what was seen to the answers of the\n" +
			"phone system and of Teams, and the delay of each step. -o json prints one object for each extension.\n\n" + userHelp,
		Example: "  offhook explain anna\n  offhook explain 204 --at 14:05\n  offhook explain 204@hq --at 2026-03-29T14:05:00+02:00 -o json",
		Args:    cobra.ExactArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	at := c.Flags().String("at", "", "a `moment` in the past: 14:05, 2026-03-29 14:05, RFC 3339, or how long ago, as 20m")
	c.RunE = func(c *cobra.Command, args []string) error {
		query := selection(args, *tenant)
		if *at != "" {
			moment, err := parseMoment(*at, a.now().In(a.zone))
			if err != nil {
				return usage(c, err.Error())
			}
			query.Set("at", moment.UTC().Format(time.RFC3339Nano))
		}
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		var all []api.Explanation
		if err := client.get(c.Context(), "/api/v1/explain", query, &all); err != nil {
			return err
		}
		for i, each := range all {
			if format.json() {
				err = printJSON(c.OutOrStdout(), each)
			} else {
				if i > 0 {
					fmt.Fprintln(c.OutOrStdout())
				}
				err = a.printExplanation(c.OutOrStdout(), each)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// parseMoment reads a time as people give it, in the zone of now: a time of day is
// the last one that has passed.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
		return now.Add(-ago), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			day := now
			for {
				moment := time.Date(day.Year(), day.Month(), day.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
				if !moment.After(now) {
					return moment, nil
				}
				day = day.AddDate(0, 0, -1)
			}
		}
	}
	return time.Time{}, fmt.Errorf("the time %q cannot be read; give 14:05, 2026-03-29 14:05, 2026-03-29T14:05:00Z or 20m", text)
}

func (a *app) printExplanation(w io.Writer, x api.Explanation) error {
	fmt.Fprintf(w, "%s (%s@%s)\n  %s\n", plain(who(x.Status)), x.Extension, x.System, plain(x.Sentence))
	for _, claim := range x.Claims {
		until := ""
		if claim.Until != nil {
			until = " until " + a.clock(*claim.Until)
		}
		fmt.Fprintf(w, "  claim: %s says %s%s\n", claim.Source, or(claim.Status), until)
	}
	if len(x.Chain) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := [][]string{{"  TIME", "DELAY", "STEP", "SERVICE", "WHAT"}}
	for _, s := range x.Chain {
		rows = append(rows, []string{"  " + s.At.In(a.zone).Format("15:04:05.000"), fmt.Sprintf("+%.1f ms", s.MS), s.Step, s.Service, what(s)})
	}
	return printTable(w, rows)
}

func what(s api.Step) string {
	value := s.Fact + s.Decision + s.Outcome
	if s.Detail == "" {
		return value
	}
	return value + " (" + s.Detail + ")"
}

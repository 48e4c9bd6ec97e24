package cli

import (
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

const userHelp = "USER is an object id, a UPN or mail address, the part of it before the @, or an\nextension such as 204, or 204@hq where several systems have one."

func (a *app) newStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status [USER]", Short: "What every linked extension shows, and why",
		Long:    "Print what linked extensions show, what they should show, and why.\n\n" + userHelp,
		Example: "  offhook status\n  offhook status anna -o json\n  offhook status --stale\n  offhook status --lane none",
		Args:    cobra.MaximumNArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	stale := c.Flags().Bool("stale", false, "only users whose Teams presence was last confirmed more than three sweeps ago")
	lane := c.Flags().String("lane", "", "only users on the lane of this `account`, as `offhook lanes` names it; none: on no lane, swept only")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		query := selection(args, *tenant)
		if *stale {
			query.Set("stale", "true")
		}
		var all []api.Status
		if err := client.get(c.Context(), "/api/v1/status", query, &all); err != nil {
			return err
		}
		all = onLane(all, *lane)
		if format.json() {
			return printJSON(c.OutOrStdout(), all)
		}
		return a.printStatus(c.OutOrStdout(), all)
	}
	return c
}

// onLane returns who is on the lane of an account, or for "none" on no lane; for ""
// everybody.
func onLane(all []api.Status, account string) []api.Status {
	if account == "" {
		return all
	}
	if account == "none" {
		account = ""
	}
	return slices.DeleteFunc(all, func(s api.Status) bool { return !strings.EqualFold(s.Lane, account) })
}

func tenantFlag(c *cobra.Command) *string {
	return c.Flags().String("tenant", "", "only this `tenant`, by its id in the configuration")
}

// selection is the query for a user and tenant.
func selection(args []string, tenant string) url.Values {
	query := url.Values{}
	if len(args) > 0 {
		query.Set("user", args[0])
	}
	if tenant != "" {
		query.Set("tenant", tenant)
	}
	return query
}

func (a *app) printStatus(w io.Writer, all []api.Status) error {
	rows := [][]string{{"NAME", "EXTENSION", "SHOWS", "WANTED", "REASON", "TEAMS", "TO TEAMS", "SINCE", "AGE"}}
	for _, s := range all {
		row := []string{who(s), s.Extension + "@" + s.System, or(s.Shown), or(s.Wanted), or(s.Reason), or(teams(s.Teams)), or(toTeams(s.ToTeams)), "-", "-"}
		if s.Since != nil {
			row[7] = a.clock(*s.Since)
		}
		if s.Shown != "" {
			row[8] = age(s.AgeMS)
		}
		rows = append(rows, row)
	}
	return printTable(w, rows)
}

// who names a user as well as it is known.
func who(s api.Status) string {
	switch {
	case s.Name != "":
		return s.Name
	case s.UPN != "":
		return s.UPN
	}
	return s.User
}

// teams words a presence, "" where there is none.
func teams(t *api.Teams) string {
	if t == nil {
		return ""
	}
	return t.String()
}

// toTeams words what Teams is made to show, "" where that is nothing.
func toTeams(t *api.ToTeams) string {
	if t == nil || t.Session == "" && t.Preferred == "" {
		return ""
	}
	switch t.Result {
	case "applied", "already":
		return t.String()
	case "":
		return t.String() + " (not yet)"
	}
	return t.String() + " (" + t.Result + ")"
}

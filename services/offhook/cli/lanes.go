package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

func (a *app) newLanes() *cobra.Command {
	c := &cobra.Command{
		Use: "lanes", Short: "The accounts that hear of presences, and how they do",
		Long: "Print the delegated accounts, each of which hears at once of the presence of up to 650\n" +
			"users: listening; idle, because nobody is on it; silent or failing, and why. Those recover\n" +
			"by themselves, or once the account has signed in again (`offhook authorize`); meanwhile\n" +
			"sweeps read everybody. `offhook status -o json` names the lane of each user.",
		Example: "  offhook lanes\n  offhook lanes --tenant contoso -o json",
		Args:    cobra.NoArgs,
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		var all []api.Lane
		if err := client.get(c.Context(), "/api/v1/lanes", selection(nil, *tenant), &all); err != nil {
			return err
		}
		if format.json() {
			return printJSON(c.OutOrStdout(), all)
		}
		return a.printLanes(c.OutOrStdout(), all)
	}
	return c
}

func (a *app) printLanes(w io.Writer, all []api.Lane) error {
	rows := [][]string{{"TENANT", "ACCOUNT", "FROM", "STATE", "USERS", "HEARD", "EXPIRES", "WHY"}}
	for _, l := range all {
		rows = append(rows, []string{l.Tenant, l.Account, l.From, l.State, fmt.Sprint(l.Users), a.ago(l.HeardAt), a.at(l.Expires), or(l.Detail)})
	}
	return printTable(w, rows)
}

// ago is how long ago a moment was, "-" where there is none.
func (a *app) ago(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return age(max(0, a.now().Sub(*t).Milliseconds()))
}

// at is a moment, "-" where there is none.
func (a *app) at(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return a.clock(*t)
}

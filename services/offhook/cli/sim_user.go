package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// simAccount is a user as the simulator tells it, without presence.
type simAccount struct {
	UserPrincipalName string   `json:"userPrincipalName"`
	DisplayName       string   `json:"displayName"`
	Department        string   `json:"department"`
	MobilePhone       string   `json:"mobilePhone"`
	BusinessPhones    []string `json:"businessPhones"`
	AccountEnabled    bool     `json:"accountEnabled"`
	UserType          string   `json:"userType"`
}

func (u simAccount) row() []string {
	state := "enabled"
	if !u.AccountEnabled {
		state = "disabled"
	}
	return []string{u.UserPrincipalName, u.DisplayName, u.UserType, state, or(u.Department), or(u.MobilePhone), or(strings.Join(u.BusinessPhones, " "))}
}

func (s simulation) user() *cobra.Command {
	c := &cobra.Command{
		Use: "user", Short: "Who is in the directory", Example: "  offhook sim user add kim --given-name Kim --surname Novak\n  offhook sim user disable kim",
	}
	group(c)
	c.AddCommand(s.userAdd(), s.userSet(), s.userEnabled("disable", false), s.userEnabled("enable", true), s.userRemove(), s.userRestore())
	return c
}

// properties adds the flags for what a user is; what they return has what was said.
func properties(c *cobra.Command) (said func() map[string]any) {
	members := map[string]string{
		"given-name": "givenName", "surname": "surname", "display-name": "displayName", "mail": "mail", "department": "department",
		"title": "jobTitle", "mobile": "mobilePhone", "language": "preferredLanguage", "type": "userType",
	}
	texts := map[string]*string{}
	for flag, member := range members {
		texts[flag] = c.Flags().String(flag, "", "what Microsoft 365 calls "+member)
	}
	phones := c.Flags().StringSlice("phone", nil, "a business phone; several times for several")
	return func() map[string]any {
		body := map[string]any{}
		for flag, member := range members {
			if c.Flags().Changed(flag) {
				body[member] = *texts[flag]
			}
		}
		if c.Flags().Changed("phone") {
			body["businessPhones"] = *phones
		}
		return body
	}
}

// showUser prints one user.
func (s simulation) showUser(c *cobra.Command, method, path string, body any) error {
	raw, err := s.tell(c, method, path, body)
	if err != nil {
		return err
	}
	var u simAccount
	return s.show(c.OutOrStdout(), raw, &u, func() [][]string { return [][]string{u.row()} })
}

func (s simulation) userAdd() *cobra.Command {
	c := &cobra.Command{
		Use: "add NAME", Short: "Create a user", Args: cobra.ExactArgs(1),
		Long:    "Create a user. NAME is the user principal name, or the part of it before the @.",
		Example: "  offhook sim user add kim --given-name Kim --surname Novak --phone '+49 30 23125 900'",
	}
	said := properties(c)
	disabled := c.Flags().Bool("disabled", false, "the account is disabled")
	c.RunE = func(c *cobra.Command, args []string) error {
		body := said()
		body["userPrincipalName"], body["accountEnabled"] = args[0], !*disabled
		return s.showUser(c, http.MethodPost, "/users", body)
	}
	return c
}

func (s simulation) userSet() *cobra.Command {
	c := &cobra.Command{
		Use: "set USER", Short: "Change what a user is", Args: cobra.ExactArgs(1),
		Example: "  offhook sim user set anna --department Sales --mobile ''",
	}
	said := properties(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		body := said()
		if len(body) == 0 {
			return usage(c, "nothing is said to change")
		}
		return s.showUser(c, http.MethodPatch, "/users/"+url.PathEscape(args[0]), body)
	}
	return c
}

func (s simulation) userEnabled(verb string, enabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " USER", Short: strings.ToUpper(verb[:1]) + verb[1:] + " a user's account", Args: cobra.ExactArgs(1), Example: "  offhook sim user " + verb + " anna",
		RunE: func(c *cobra.Command, args []string) error {
			return s.showUser(c, http.MethodPatch, "/users/"+url.PathEscape(args[0]), map[string]any{"accountEnabled": enabled})
		},
	}
}

func (s simulation) userRemove() *cobra.Command {
	c := &cobra.Command{
		Use: "remove USER", Short: "Delete a user", Args: cobra.ExactArgs(1),
		Example: "  offhook sim user remove anna\n  offhook sim user remove anna --for-good",
	}
	forGood := c.Flags().Bool("for-good", false, "not to be restored")
	c.RunE = func(c *cobra.Command, args []string) error {
		_, err := s.tell(c, http.MethodDelete, "/users/"+url.PathEscape(args[0])+"?soft="+fmt.Sprint(!*forGood), nil)
		return err
	}
	return c
}

func (s simulation) userRestore() *cobra.Command {
	return &cobra.Command{
		Use: "restore USER", Short: "Bring back a deleted user", Args: cobra.ExactArgs(1), Example: "  offhook sim user restore anna",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, "/users/"+url.PathEscape(args[0])+"/restore", json.RawMessage("{}"))
			return err
		},
	}
}

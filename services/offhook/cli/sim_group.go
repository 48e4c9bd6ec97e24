package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// simGroup is a group as the simulator tells it.
type simGroup struct {
	ID          string   `json:"id"`
	DisplayName string   `json:"displayName"`
	Members     []string `json:"members"`
	Users       []string `json:"users"`
}

func (s simulation) groups() *cobra.Command {
	c := &cobra.Command{
		Use: "group", Short: "Groups of the directory and who is in them", Example: "  offhook sim group make Support\n  offhook sim group add Support anna",
		Long: "Groups of the directory and who is in them. A GROUP is named by its name or object id; a\nMEMBER is a user, or a group.",
	}
	group(c)
	c.AddCommand(s.groupMake(), s.groupMember("add", "Put a user or a group into a group", http.MethodPut),
		s.groupMember("remove", "Take a user or a group out of a group", http.MethodDelete), s.groupDelete(), s.groupList())
	return c
}

// showGroup prints one group.
func (s simulation) showGroup(c *cobra.Command, raw json.RawMessage) error {
	var g simGroup
	return s.show(c.OutOrStdout(), raw, &g, func() [][]string { return [][]string{g.row()} })
}

func (g simGroup) row() []string {
	return []string{g.DisplayName, g.ID, fmt.Sprint(len(g.Users)), or(strings.Join(g.Users[:min(len(g.Users), listedUsers)], " "))}
}

// listedUsers is how many users of a group are printed.
const listedUsers = 5

func (s simulation) groupMake() *cobra.Command {
	return &cobra.Command{
		Use: "make NAME", Short: "Create a group", Args: cobra.ExactArgs(1), Example: "  offhook sim group make Support",
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := s.tell(c, http.MethodPost, "/groups", map[string]string{"displayName": args[0]})
			if err != nil {
				return err
			}
			return s.showGroup(c, raw)
		},
	}
}

func (s simulation) groupMember(verb, short, method string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " GROUP MEMBER", Short: short, Args: cobra.ExactArgs(2), Example: "  offhook sim group " + verb + " Support anna",
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := s.tell(c, method, "/groups/"+url.PathEscape(args[0])+"/members/"+url.PathEscape(args[1]), nil)
			if err != nil {
				return err
			}
			return s.showGroup(c, raw)
		},
	}
}

func (s simulation) groupDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP", Short: "Remove a group", Args: cobra.ExactArgs(1), Example: "  offhook sim group delete Support",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodDelete, "/groups/"+url.PathEscape(args[0]), nil)
			return err
		},
	}
}

func (s simulation) groupList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the groups and who is in them", Args: cobra.NoArgs, Example: "  offhook sim group list",
		RunE: func(c *cobra.Command, _ []string) error {
			raw, err := s.tell(c, http.MethodGet, "/groups", nil)
			if err != nil {
				return err
			}
			var all []simGroup
			return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
				rows := [][]string{{"GROUP", "ID", "USERS", "WHO"}}
				for _, g := range all {
					rows = append(rows, g.row())
				}
				return rows
			})
		},
	}
}

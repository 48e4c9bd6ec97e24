package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// simCall is a call of a simulated phone system.
type simCall struct {
	From  string `json:"from"`
	To    string `json:"to"`
	State string `json:"state"`
}

func callRows(calls []simCall) [][]string {
	rows := [][]string{{"FROM", "TO", "STATE"}}
	for _, c := range calls {
		rows = append(rows, []string{c.From, c.To, c.State})
	}
	return rows
}

// calls is the command that makes the extensions of a simulated phone system talk.
func (s simulation) calls() *cobra.Command {
	c := &cobra.Command{
		Use: "call", Short: "Let simulated extensions talk on the phone",
		Example: "  offhook sim call start 101\n  offhook sim call end 101",
	}
	group(c)
	c.AddCommand(s.callStart(), s.callEnd(), s.callList())
	return c
}

func (s simulation) callStart() *cobra.Command {
	c := &cobra.Command{
		Use: "start EXTENSION[@SYSTEM]", Short: "Start a call, answered at once", Args: cobra.ExactArgs(1),
		Long:    "Start a call of an extension with somebody outside, or with whom --with names.",
		Example: "  offhook sim call start 101\n  offhook sim call start 101 --with 102\n  offhook sim call start 101 --with +493055501",
	}
	with := c.Flags().String("with", "", "another `extension`, or a number outside (default some number outside)")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := simClient(*s.address)
		if err != nil {
			return err
		}
		number, system, _ := strings.Cut(args[0], "@")
		path, err := s.system(c.Context(), client, system)
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]string{"from": number, "to": *with})
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := client.do(c.Context(), http.MethodPost, path+"/calls", body, &raw); err != nil {
			return err
		}
		var one simCall
		return s.show(c.OutOrStdout(), raw, &one, func() [][]string { return callRows([]simCall{one}) })
	}
	return c
}

func (s simulation) callEnd() *cobra.Command {
	return &cobra.Command{
		Use: "end EXTENSION[@SYSTEM]", Short: "End the calls of an extension", Args: cobra.ExactArgs(1),
		Long:    "End all calls of an extension and list those that go on elsewhere.",
		Example: "  offhook sim call end 101",
		RunE: func(c *cobra.Command, args []string) error {
			number, system, _ := strings.Cut(args[0], "@")
			return s.callsAt(c, system, http.MethodDelete, "/extensions/"+url.PathEscape(number)+"/calls")
		},
	}
}

func (s simulation) callList() *cobra.Command {
	return &cobra.Command{
		Use: "list [SYSTEM]", Short: "List the calls that ring or go on", Args: cobra.MaximumNArgs(1),
		Example: "  offhook sim call list hq",
		RunE: func(c *cobra.Command, args []string) error {
			return s.callsAt(c, strings.Join(args, ""), http.MethodGet, "/calls")
		},
	}
}

// callsAt asks the simulator something that it answers with a list of calls.
func (s simulation) callsAt(c *cobra.Command, system, method, what string) error {
	client, err := simClient(*s.address)
	if err != nil {
		return err
	}
	path, err := s.system(c.Context(), client, system)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.do(c.Context(), method, path+what, nil, &raw); err != nil {
		return err
	}
	var all []simCall
	return s.show(c.OutOrStdout(), raw, &all, func() [][]string { return callRows(all) })
}

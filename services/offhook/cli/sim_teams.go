package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (s simulation) teams() *cobra.Command {
	c := &cobra.Command{Use: "teams", Short: "What a user chooses in Teams", Example: "  offhook sim teams prefer anna DoNotDisturb --for 1h"}
	group(c)
	c.AddCommand(s.prefer(), s.unprefer(), s.writes())
	return c
}

func (s simulation) prefer() *cobra.Command {
	c := &cobra.Command{
		Use: "prefer USER AVAILABILITY[/ACTIVITY]", Short: "Choose a status in Teams that stays, whatever the user does", Args: cobra.ExactArgs(2),
		Example: "  offhook sim teams prefer anna DoNotDisturb --for 1h\n  offhook sim teams prefer anna Offline/OffWork",
	}
	life := c.Flags().Duration("for", 0, "how long it stays (default a day for DoNotDisturb and Busy, else seven days)")
	c.RunE = func(c *cobra.Command, args []string) error {
		availability, activity, _ := strings.Cut(args[1], "/")
		body := map[string]string{"availability": availability, "activity": activity, "for": life.String()}
		raw, err := s.tell(c, http.MethodPut, "/users/"+url.PathEscape(args[0])+"/preferred", body)
		if err != nil {
			return err
		}
		var p simPresence
		return s.show(c.OutOrStdout(), raw, &p, func() [][]string { return [][]string{{p.User, p.text()}} })
	}
	return c
}

func (s simulation) unprefer() *cobra.Command {
	return &cobra.Command{
		Use: "unprefer USER", Short: "Reset the status in Teams", Args: cobra.ExactArgs(1), Example: "  offhook sim teams unprefer anna",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := s.tell(c, http.MethodDelete, "/users/"+url.PathEscape(args[0])+"/preferred", nil); err != nil {
				return err
			}
			return s.presence(c, args[0], http.MethodGet, nil)
		},
	}
}

// simWrites is what programs wrote into presences.
type simWrites struct {
	Last []struct {
		At           time.Time `json:"at"`
		User         string    `json:"user"`
		Call         string    `json:"call"`
		Availability string    `json:"availability"`
		Activity     string    `json:"activity"`
		Status       int       `json:"status"`
	} `json:"last"`
}

func (s simulation) writes() *cobra.Command {
	return &cobra.Command{
		Use: "writes", Short: "List what programs wrote into presences", Args: cobra.NoArgs, Example: "  offhook sim teams writes",
		RunE: func(c *cobra.Command, _ []string) error {
			raw, err := s.tell(c, http.MethodGet, "/writes", nil)
			if err != nil {
				return err
			}
			var all simWrites
			return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
				rows := [][]string{{"AT", "USER", "CALL", "PRESENCE", "ANSWER"}}
				for _, w := range all.Last {
					rows = append(rows, []string{w.At.Format("15:04:05"), w.User, w.Call, or(simPresence{Availability: w.Availability, Activity: w.Activity}.text()), fmt.Sprint(w.Status)})
				}
				return rows
			})
		},
	}
}

func (s simulation) device() *cobra.Command {
	c := &cobra.Command{Use: "device", Short: "Sign-ins by device code", Example: "  offhook sim device approve ABCD1234E zoe"}
	group(c)
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sign-ins that wait for a person", Args: cobra.NoArgs, Example: "  offhook sim device list",
		RunE: func(c *cobra.Command, _ []string) error { return s.print(c, http.MethodGet, "/devices", nil) },
	}, &cobra.Command{
		Use: "approve CODE USER", Short: "Sign in as a user", Args: cobra.ExactArgs(2), Example: "  offhook sim device approve ABCD1234E zoe",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, "/devices/"+url.PathEscape(args[0]), map[string]string{"user": args[1]})
			return err
		},
	}, &cobra.Command{
		Use: "decline CODE", Short: "Say no to a sign-in", Args: cobra.ExactArgs(1), Example: "  offhook sim device decline ABCD1234E",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, "/devices/"+url.PathEscape(args[0]), map[string]bool{"decline": true})
			return err
		},
	}, s.accountEnd("revoke", "End a user's refresh tokens, as a password change does"),
		s.accountEnd("mfa", "Ask a user who has signed in for a second factor"))
	return c
}

func (s simulation) accountEnd(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " USER", Short: short, Args: cobra.ExactArgs(1), Example: "  offhook sim device " + verb + " zoe",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, "/accounts/"+url.PathEscape(args[0])+"/"+verb, nil)
			return err
		},
	}
}

// print prints an answer as JSON.
func (s simulation) print(c *cobra.Command, method, path string, body any) error {
	raw, err := s.tell(c, method, path, body)
	if err != nil {
		return err
	}
	return printJSON(c.OutOrStdout(), raw)
}

func (s simulation) subscriptions() *cobra.Command {
	return &cobra.Command{
		Use: "subscriptions", Short: "List the live change subscriptions", Args: cobra.NoArgs, Example: "  offhook sim subscriptions",
		RunE: func(c *cobra.Command, _ []string) error { return s.print(c, http.MethodGet, "/subscriptions", nil) },
	}
}

func (s simulation) lifecycle() *cobra.Command {
	return &cobra.Command{
		Use: "lifecycle SUBSCRIPTION EVENT", Short: "Send a lifecycle event to a subscription", Args: cobra.ExactArgs(2),
		Long:    "Send a lifecycle event to a subscription: reauthorizationRequired, missed, or\nsubscriptionRemoved, which ends it.",
		Example: "  offhook sim lifecycle 8d85f9b6-789b-43af-b500-5511c2364bd7 missed",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, "/subscriptions/"+url.PathEscape(args[0])+"/event", map[string]string{"event": args[1]})
			return err
		},
	}
}

func (s simulation) violations() *cobra.Command {
	return &cobra.Command{
		Use: "violations", Short: "List what no client may do and one did", Args: cobra.NoArgs, Example: "  offhook sim violations",
		RunE: func(c *cobra.Command, _ []string) error { return s.print(c, http.MethodGet, "/violations", nil) },
	}
}

func (s simulation) switches() *cobra.Command {
	return &cobra.Command{
		Use: "switches [JSON]", Short: "Print or change how the tenant answers", Args: cobra.MaximumNArgs(1),
		Example: "  offhook sim switches '{\"cloud\":\"china\"}'",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.print(c, http.MethodGet, "/switches", nil)
			}
			if !json.Valid([]byte(args[0])) {
				return usage(c, fmt.Sprintf("%q is not JSON", args[0]))
			}
			return s.print(c, http.MethodPatch, "/switches", json.RawMessage(args[0]))
		},
	}
}

func (s simulation) mailbox() *cobra.Command {
	c := &cobra.Command{
		Use: "mailbox USER", Short: "Print or change a user's mailbox", Args: cobra.ExactArgs(1),
		Example: "  offhook sim mailbox anna --zone 'Tokyo Standard Time'\n  offhook sim mailbox anna --denied",
	}
	zone := c.Flags().String("zone", "", "time `zone`, by Windows' or IANA's name")
	purpose := c.Flags().String("purpose", "", "user, shared, room, equipment, linked or others")
	missing := c.Flags().Bool("missing", false, "there is no mailbox in the cloud")
	denied := c.Flags().Bool("denied", false, "the app may not read it")
	c.RunE = func(c *cobra.Command, args []string) error {
		body := map[string]any{}
		for flag, member := range map[string][2]any{"zone": {"timeZone", *zone}, "purpose": {"userPurpose", *purpose}, "missing": {"missing", *missing}, "denied": {"denied", *denied}} {
			if c.Flags().Changed(flag) {
				body[member[0].(string)] = member[1]
			}
		}
		path := "/users/" + url.PathEscape(args[0]) + "/mailbox"
		if len(body) == 0 {
			return s.print(c, http.MethodGet, path, nil)
		}
		return s.print(c, http.MethodPatch, path, body)
	}
	return c
}

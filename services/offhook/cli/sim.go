package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

// simulation is how the sim commands reach the simulator.
type simulation struct {
	address, tenant *string
	format          *format
}

func (a *app) newSim() *cobra.Command {
	c := &cobra.Command{
		Use: "sim", Short: "Drive the simulator",
		Long: "Drive the simulated Microsoft 365 tenant and phone systems of `offhook dev` or of the\n" +
			"simulator service: be the people in it, break things, and see the truth.",
		Example: "  offhook sim presence set anna Busy/InAMeeting\n  offhook sim meeting add anna --start +5s --for 30s\n  offhook sim status set 101 lunch",
	}
	group(c)
	format := format("table")
	s := simulation{format: &format}
	c.PersistentFlags().VarP(&format, "output", "o", "table or json")
	s.address = c.PersistentFlags().String("sim", "", "`address` of the simulator's control interface (default OFFHOOK_SIM, or a running `offhook dev`)")
	s.tenant = c.PersistentFlags().String("sim-tenant", "", "which simulated `tenant`, where there are several")
	presence := &cobra.Command{Use: "presence", Short: "What Teams shows for a user", Example: "  offhook sim presence get anna"}
	group(presence)
	presence.AddCommand(s.presenceSet(), s.presenceGet())
	status := &cobra.Command{Use: "status", Short: "What a person chooses on the phone", Example: "  offhook sim status set 101 lunch"}
	group(status)
	status.AddCommand(s.statusSet())
	c.AddCommand(presence, status, s.calls(), s.users(), s.extensions(), s.faults(), s.truth(a))
	c.AddCommand(s.meeting(a), s.teams(), s.device(), s.mailbox(), s.groups(), s.user(), s.contact(), s.photo(), s.subscriptions(), s.lifecycle(), s.switches(), s.violations())
	return c
}

// simUser, simPresence and simExtension are what the simulators tell, as far as it
// is printed.
type simUser struct {
	ID                string      `json:"id"`
	UserPrincipalName string      `json:"userPrincipalName"`
	DisplayName       string      `json:"displayName"`
	Presence          simPresence `json:"presence"`
}

type simPresence struct {
	User         string    `json:"user"`
	Availability string    `json:"availability"`
	Activity     string    `json:"activity"`
	Since        time.Time `json:"since"`
}

func (p simPresence) text() string {
	return api.Teams{Availability: p.Availability, Activity: p.Activity}.String()
}

// simExtension is an extension of a simulated phone system.
type simExtension struct {
	Number      string    `json:"number"`
	DisplayName string    `json:"display_name"`
	Status      string    `json:"status"`
	Since       time.Time `json:"since"`
	By          string    `json:"by"`
}

// open returns the client and the path of the tenant.
func (s simulation) open(ctx context.Context) (client, string, error) {
	c, err := simClient(*s.address)
	if err != nil {
		return c, "", err
	}
	tenant := *s.tenant
	if tenant == "" {
		tenants, err := names(ctx, c, "/sim/v1/tenants")
		if err != nil {
			return c, "", err
		}
		if tenant, err = only(tenants, "tenant", "--sim-tenant"); err != nil {
			return c, "", err
		}
	}
	return c, "/sim/v1/tenants/" + url.PathEscape(tenant), nil
}

// names lists the ids of tenants or systems.
func names(ctx context.Context, c client, path string) ([]string, error) {
	var list []struct {
		ID string `json:"id"`
	}
	if err := c.get(ctx, path, nil, &list); err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, each := range list {
		ids[i] = each.ID
	}
	return ids, nil
}

// only is the single name of a list.
func only(names []string, what, how string) (string, error) {
	if len(names) == 1 {
		return names[0], nil
	}
	return "", usageError{&api.Problem{Code: "OH-CLI-USAGE", What: fmt.Sprintf("there are %d simulated %ss: %s", len(names), what, strings.Join(names, ", ")),
		Where: how, Fix: "say which one with " + how}}
}

// show prints raw JSON as it came, or a table made of it.
func (s simulation) show(w io.Writer, raw json.RawMessage, into any, table func() [][]string) error {
	if s.format.json() {
		return printJSON(w, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	return printTable(w, table())
}

func (s simulation) presenceSet() *cobra.Command {
	return &cobra.Command{
		Use: "set USER AVAILABILITY[/ACTIVITY]", Short: "Change a user's presence, as Teams would", Args: cobra.ExactArgs(2),
		Example: "  offhook sim presence set anna Busy/InAMeeting\n  offhook sim presence set anna Available",
		RunE: func(c *cobra.Command, args []string) error {
			availability, activity, _ := strings.Cut(args[1], "/")
			body, err := json.Marshal(map[string]string{"availability": availability, "activity": activity})
			if err != nil {
				return err
			}
			return s.presence(c, args[0], http.MethodPut, body)
		},
	}
}

func (s simulation) presenceGet() *cobra.Command {
	return &cobra.Command{
		Use: "get USER", Short: "Print a user's presence", Args: cobra.ExactArgs(1),
		Example: "  offhook sim presence get anna",
		RunE:    func(c *cobra.Command, args []string) error { return s.presence(c, args[0], http.MethodGet, nil) },
	}
}

func (s simulation) presence(c *cobra.Command, user, method string, body []byte) error {
	client, tenant, err := s.open(c.Context())
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.do(c.Context(), method, tenant+"/users/"+url.PathEscape(user)+"/presence", body, &raw); err != nil {
		return err
	}
	var p simPresence
	return s.show(c.OutOrStdout(), raw, &p, func() [][]string { return [][]string{{p.User, p.text()}} })
}

func (s simulation) users() *cobra.Command {
	c := &cobra.Command{
		Use: "users [SEARCH]", Short: "List simulated users", Args: cobra.MaximumNArgs(1),
		Example: "  offhook sim users albers",
	}
	limit := c.Flags().Int("limit", 100, "at most so many")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, tenant, err := s.open(c.Context())
		if err != nil {
			return err
		}
		query := url.Values{"limit": {fmt.Sprint(*limit)}}
		if len(args) > 0 {
			query.Set("search", args[0])
		}
		var raw json.RawMessage
		if err := client.get(c.Context(), tenant+"/users", query, &raw); err != nil {
			return err
		}
		var all []simUser
		return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
			rows := [][]string{{"USER", "NAME", "PRESENCE"}}
			for _, u := range all {
				rows = append(rows, []string{u.UserPrincipalName, u.DisplayName, u.Presence.text()})
			}
			return rows
		})
	}
	return c
}

// system returns the path of a phone system: the one named, or the only one.
func (s simulation) system(ctx context.Context, c client, name string) (string, error) {
	if name == "" {
		systems, err := names(ctx, c, "/sim/v1/systems")
		if err != nil {
			return "", err
		}
		if name, err = only(systems, "system", "EXTENSION@SYSTEM or SYSTEM"); err != nil {
			return "", err
		}
	}
	return "/sim/v1/systems/" + url.PathEscape(name), nil
}

func (s simulation) extensions() *cobra.Command {
	return &cobra.Command{
		Use: "extensions [SYSTEM]", Short: "List what the extensions of a simulated phone system show", Args: cobra.MaximumNArgs(1),
		Example: "  offhook sim extensions hq",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := simClient(*s.address)
			if err != nil {
				return err
			}
			path, err := s.system(c.Context(), client, strings.Join(args, ""))
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.get(c.Context(), path+"/extensions", nil, &raw); err != nil {
				return err
			}
			var all []simExtension
			return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
				rows := [][]string{{"EXTENSION", "NAME", "SHOWS", "SET BY"}}
				for _, e := range all {
					rows = append(rows, []string{e.Number, e.DisplayName, or(e.Status), e.By})
				}
				return rows
			})
		},
	}
}

func (s simulation) statusSet() *cobra.Command {
	return &cobra.Command{
		Use: "set EXTENSION[@SYSTEM] STATUS", Short: "Choose a status, as a person at the phone does", Args: cobra.ExactArgs(2),
		Long:    "Choose a status as a person at the phone does: available, away, dnd, lunch or business-trip.",
		Example: "  offhook sim status set 101 lunch",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := simClient(*s.address)
			if err != nil {
				return err
			}
			number, system, _ := strings.Cut(args[0], "@")
			path, err := s.system(c.Context(), client, system)
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]string{"status": args[1]})
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.do(c.Context(), http.MethodPut, path+"/extensions/"+url.PathEscape(number)+"/status", body, &raw); err != nil {
				return err
			}
			var e simExtension
			return s.show(c.OutOrStdout(), raw, &e, func() [][]string { return [][]string{{e.Number, e.DisplayName, e.Status}} })
		},
	}
}

func (s simulation) faults() *cobra.Command {
	return &cobra.Command{
		Use: "fault TARGET [JSON|clear]", Short: "Make something go wrong", Args: cobra.RangeArgs(1, 2),
		Long: "Make something go wrong at TARGET, a simulated tenant or phone system; list what does;\n" +
			"or end it with clear. JSON is what the simulator's interface takes.",
		Example: "  offhook sim fault contoso '{\"kind\":\"status\",\"status\":429,\"retryAfter\":\"3\",\"count\":5}'\n" +
			"  offhook sim fault contoso '{\"kind\":\"status\",\"user\":\"anna\",\"retryAfter\":\"600\"}'\n" +
			"  offhook sim fault contoso '{\"kind\":\"lose\",\"resource\":\"event\"}'\n" +
			"  offhook sim fault hq '{\"kind\":\"latency\",\"delay\":\"2s\",\"times\":10}'\n  offhook sim fault hq clear",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := simClient(*s.address)
			if err != nil {
				return err
			}
			path, err := target(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			method, body := http.MethodGet, []byte(nil)
			if len(args) == 2 {
				if method, body = http.MethodPost, []byte(args[1]); args[1] == "clear" {
					method, body = http.MethodDelete, nil
				} else if !json.Valid(body) {
					return usage(c, fmt.Sprintf("%q is neither JSON nor clear", args[1]))
				}
			}
			raw := json.RawMessage("[]")
			if err := client.do(c.Context(), method, path+"/faults", body, &raw); err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), raw)
		},
	}
}

// target is the path of a tenant or a system by its name.
func target(ctx context.Context, c client, name string) (string, error) {
	var known []string
	for _, kind := range []string{"tenants", "systems"} {
		list, err := names(ctx, c, "/sim/v1/"+kind)
		if err != nil {
			return "", err
		}
		if slices.Contains(list, name) {
			return "/sim/v1/" + kind + "/" + url.PathEscape(name), nil
		}
		known = append(known, list...)
	}
	return "", usageError{&api.Problem{Code: "OH-CLI-USAGE", What: fmt.Sprintf("there is no simulated tenant or system %q", name), Where: "TARGET", Fix: "use one of " + strings.Join(known, ", ")}}
}

// simTruth is everything that the simulator knows to be so.
type simTruth struct {
	Presences  []simPresence             `json:"presences"`
	Extensions map[string][]simExtension `json:"extensions"` // by system
}

func (s simulation) truth(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "truth", Short: "Print what Teams and the phone systems really show", Args: cobra.NoArgs,
		Example: "  offhook sim truth -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			client, tenant, err := s.open(c.Context())
			if err != nil {
				return err
			}
			truth := simTruth{Extensions: map[string][]simExtension{}}
			if err := client.get(c.Context(), tenant+"/truth", nil, &truth.Presences); err != nil {
				return err
			}
			systems, err := names(c.Context(), client, "/sim/v1/systems")
			if err != nil {
				return err
			}
			for _, system := range systems {
				var all []simExtension
				if err := client.get(c.Context(), "/sim/v1/systems/"+url.PathEscape(system)+"/extensions", nil, &all); err != nil {
					return err
				}
				truth.Extensions[system] = all
			}
			if s.format.json() {
				return printJSON(c.OutOrStdout(), truth)
			}
			slices.SortFunc(truth.Presences, func(x, y simPresence) int { return strings.Compare(x.User, y.User) })
			rows := [][]string{{"WHERE", "WHO", "SHOWS", "SINCE"}}
			for _, p := range truth.Presences {
				rows = append(rows, []string{"teams", p.User, p.text(), a.clock(p.Since)})
			}
			for _, system := range systems {
				for _, e := range truth.Extensions[system] {
					rows = append(rows, []string{system, e.Number + " " + e.DisplayName, or(e.Status), a.clock(e.Since)})
				}
			}
			return printTable(c.OutOrStdout(), rows)
		},
	}
}

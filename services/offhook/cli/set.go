package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/libs/options"
	"offhook.dev/services/control-api/api"
)

const untilHelp = "until this `moment`: 14:00 (the next one), 2026-03-29 14:00, RFC 3339, or how long from now, as 1h"

func (a *app) newSet() *cobra.Command {
	c := &cobra.Command{
		Use: "set USER STATUS", Short: "Set a user's status, as if they had chosen it on the phone",
		Long: "Set what a user's extensions show, as if the user had chosen it on the phone: a person\n" +
			"always wins. STATUS is available, away, dnd, lunch or business-trip. With an end it holds\n" +
			"until then; without one it ends as a choice on the phone does. STATUS none, or --clear,\n" +
			"withdraws what was chosen, here or on the phone.\n\n" + userHelp,
		Example: "  offhook set anna dnd --until 14:00\n  offhook set anna lunch --extension 204@hq\n  offhook set anna --clear",
		Args:    cobra.RangeArgs(1, 2),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	until := c.Flags().String("until", "", untilHelp)
	extension := c.Flags().String("extension", "", "this `extension` alone, 204 or 204@hq")
	clearing := c.Flags().Bool("clear", false, "withdraw what was chosen")
	c.RunE = func(c *cobra.Command, args []string) error {
		withdraws := *clearing || len(args) == 2 && args[1] == "none"
		switch {
		case *clearing && len(args) == 2 && args[1] != "none":
			return usage(c, "a status and --clear: which is it?")
		case !withdraws && len(args) < 2:
			return usage(c, "a status is missing: available, away, dnd, lunch, business-trip or none")
		case withdraws && *until != "":
			return usage(c, "what is withdrawn has no end: leave --until out")
		}
		end, err := a.end(c, *until)
		if err != nil {
			return err
		}
		number, system, _ := strings.Cut(*extension, "@")
		query := selection(nil, *tenant)
		if !withdraws {
			return a.order(c, *address, *format, http.MethodPut, "choice", args[0], query,
				api.Choice{Status: args[1], Until: end, System: system, Extension: number})
		}
		for name, value := range map[string]string{"system": system, "extension": number} {
			if value != "" {
				query.Set(name, value)
			}
		}
		return a.order(c, *address, *format, http.MethodDelete, "choice", args[0], query, nil)
	}
	return c
}

func (a *app) newPause() *cobra.Command {
	c := &cobra.Command{
		Use: "pause USER", Short: "Make Offhook leave a user alone",
		Long: "Make Offhook leave a user alone, until a time or until `offhook resume`. What it made the\n" +
			"phone and Teams show is released once.\n\n" + userHelp,
		Example: "  offhook pause anna --until 1h\n  offhook pause anna",
		Args:    cobra.ExactArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	until := c.Flags().String("until", "", untilHelp)
	c.RunE = func(c *cobra.Command, args []string) error {
		end, err := a.end(c, *until)
		if err != nil {
			return err
		}
		return a.order(c, *address, *format, http.MethodPut, "pause", args[0], selection(nil, *tenant), api.Pause{Until: end})
	}
	return c
}

func (a *app) newResume() *cobra.Command {
	c := &cobra.Command{
		Use: "resume USER", Short: "End a pause",
		Long:    "End the pause of a user: Offhook decides what shows again.\n\n" + userHelp,
		Example: "  offhook resume anna",
		Args:    cobra.ExactArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.order(c, *address, *format, http.MethodDelete, "pause", args[0], selection(nil, *tenant), nil)
	}
	return c
}

// order changes a user's choice or pause and prints what is so now.
func (a *app) order(c *cobra.Command, address string, as format, method, what, user string, query url.Values, body any) error {
	client, err := apiClient(address)
	if err != nil {
		return err
	}
	path := "/api/v1/users/" + url.PathEscape(user) + "/" + what
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var entry api.OptionsEntry
	if err := client.change(c.Context(), method, path, body, "", &entry); err != nil {
		return err
	}
	if as.json() {
		return printJSON(c.OutOrStdout(), entry)
	}
	if what == "choice" {
		return a.printChoice(c.OutOrStdout(), entry)
	}
	return a.printPause(c.OutOrStdout(), entry)
}

func (a *app) printChoice(w io.Writer, e api.OptionsEntry) error {
	_, err := fmt.Fprintf(w, "%s: %s\n", plain(whose(e)), a.choice(e.Options.Chosen))
	return err
}

// choice words a choice made in Offhook.
func (a *app) choice(c *options.Chosen) string {
	if c == nil {
		return "nothing"
	}
	where := "all extensions"
	if c.Extension != "" {
		where = fmt.Sprintf("%s@%s", c.Extension, c.System)
	}
	text := a.status(c.Status) + " on " + where
	switch {
	case c.Status == "":
		text = "withdrawn on " + where
	case !c.Until.IsZero():
		text += " until " + a.clock(c.Until)
	}
	return text
}

func (a *app) printPause(w io.Writer, e api.OptionsEntry) error {
	text := "not paused"
	for _, o := range e.Effective {
		if o.Key != "paused_until" {
			continue
		}
		text = "paused until " + a.pauseEnd(o.Value)
		if o.From != string(options.User) {
			text += ", by the options of the " + o.From
		}
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", plain(whose(e)), text)
	return err
}

// pauseEnd words the end of a pause as options have it.
func (a *app) pauseEnd(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return text
	case t.Equal(options.Forever):
		return "it is ended"
	}
	return a.clock(t)
}

// whose names the user that options are about as well as it is known.
func whose(e api.OptionsEntry) string { return who(api.Status{Name: e.Name, UPN: e.UPN, User: e.User}) }

// end reads --until; "" is nil.
func (a *app) end(c *cobra.Command, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	now := a.now().In(a.zone)
	end, err := parseEnd(text, now)
	if err != nil {
		return nil, usage(c, err.Error())
	}
	if !end.After(now) {
		return nil, usage(c, fmt.Sprintf("%s is over", text))
	}
	end = end.UTC()
	return &end, nil
}

// parseEnd reads a time that is to come as people give it, in the zone of now: a time
// of day is the next one.
func parseEnd(text string, now time.Time) (time.Time, error) {
	if in, err := time.ParseDuration(text); err == nil {
		return now.Add(in), nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		t, err := time.Parse(layout, text)
		for day := now; err == nil; day = day.AddDate(0, 0, 1) {
			end := time.Date(day.Year(), day.Month(), day.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if end.After(now) {
				return end, nil
			}
		}
	}
	end, err := parseMoment(text, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("the time %q cannot be read; give 14:00, 2026-03-29 14:00, 2026-03-29T14:00:00Z or 1h", text)
	}
	return end, nil
}

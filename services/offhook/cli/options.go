package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

const (
	// changeAttempts bounds how often a change is made again that somebody else was
	// faster than.
	changeAttempts = 5
	// progressEvery is how often it is asked how many are decided, and progressGives
	// after how long without anybody more it is given up.
	progressEvery = 500 * time.Millisecond
	progressGives = 2 * time.Minute
	// membersGive is after how long it is not waited any more for the members of a group.
	membersGive = 10 * time.Second
)

func (a *app) newOptions() *cobra.Command {
	c := &cobra.Command{
		Use: "options", Short: "Modes, mappings and policies of tenants, groups and users",
		Long: "Show and change what an administrator may set while Offhook runs, over what stands in\n" +
			"the configuration: of a tenant, of a group over it, of a user over both. A change is in\n" +
			"force within a second.",
		Example: "  offhook options set --tenant contoso mode=both\n  offhook options show --tenant contoso --user anna\n" +
			"  offhook options unset --tenant contoso --user anna mode",
	}
	group(c)
	c.AddCommand(a.newOptionsShow(), a.newOptionsSet(), a.newOptionsUnset())
	return c
}

// owner is whose options are meant.
type owner struct{ tenant, group, user *string }

func ownerFlags(c *cobra.Command) owner {
	return owner{
		c.Flags().String("tenant", "", "of this `tenant`, by its id in the configuration"),
		c.Flags().String("group", "", "of this `group` of the tenant, by its object id, or by its name once it has options"),
		c.Flags().String("user", "", "of this `user` of the tenant, as other commands take them"),
	}
}

// path is where their options are.
func (o owner) path(c *cobra.Command) (string, error) {
	path := "/api/v1/options/tenants/" + url.PathEscape(*o.tenant)
	switch {
	case *o.tenant == "":
		return "", usage(c, "whose options? Name the tenant with --tenant")
	case *o.group != "" && *o.user != "":
		return "", usage(c, "of the group or of the user? Name one of them")
	case *o.group != "":
		path += "/groups/" + url.PathEscape(*o.group)
	case *o.user != "":
		path += "/users/" + url.PathEscape(*o.user)
	}
	return path, nil
}

func (a *app) newOptionsShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show", Short: "What is set, and for a user what is in force",
		Long: "Print what is set for a tenant or a group, or what is in force for a user and what\n" +
			"set it.",
		Example: "  offhook options show --tenant contoso\n  offhook options show --tenant contoso --user anna -o json",
		Args:    cobra.NoArgs,
	}
	format, address, of := outputFlag(c), apiFlag(c), ownerFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, err := of.path(c)
		if err != nil {
			return err
		}
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		var entry api.OptionsEntry
		if err := client.get(c.Context(), path, nil, &entry); err != nil {
			return err
		}
		if format.json() {
			return printJSON(c.OutOrStdout(), entry)
		}
		return a.printOptions(c.OutOrStdout(), entry)
	}
	return c
}

func (a *app) newOptionsSet() *cobra.Command {
	c := &cobra.Command{
		Use: "set KEY=VALUE...", Short: "Set options",
		Long: "Set options of a tenant, a group or a user; the others stay. The keys are\n" +
			strings.Join(options.Keys(), ", ") + ";\nKEY is what the mapping names: teams.Away=release, calendar.oof=dnd, pbx.lunch=BeRightBack.",
		Example: "  offhook options set --tenant contoso mode=both damping=3s\n  offhook options set --tenant contoso --user anna manual.policy=until-cleared\n" +
			"  offhook options set --tenant contoso 'teams.Away=away after 10m'",
		Args: cobra.MinimumNArgs(1),
	}
	a.changesOptions(c, func(r *options.Record, args []string) error {
		var problems []error
		for _, arg := range args {
			key, value, ok := strings.Cut(arg, "=")
			if !ok {
				problems = append(problems, fmt.Errorf("%q is not of the form key=value", arg))
				continue
			}
			problems = append(problems, r.Set(key, value))
		}
		return errors.Join(problems...)
	})
	return c
}

func (a *app) newOptionsUnset() *cobra.Command {
	c := &cobra.Command{
		Use: "unset KEY...", Short: "Take options away",
		Long:    "Take options of a tenant, a group or a user away, so that what is below counts again.\nThe keys are those of `offhook options set`.",
		Example: "  offhook options unset --tenant contoso mode teams.Away",
		Args:    cobra.MinimumNArgs(1),
	}
	a.changesOptions(c, func(r *options.Record, args []string) error {
		var problems []error
		for _, key := range args {
			_, err := r.Unset(key)
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
	return c
}

// changesOptions makes c read options, edit them and put them back.
func (a *app) changesOptions(c *cobra.Command, edit func(*options.Record, []string) error) {
	format, address, of := outputFlag(c), apiFlag(c), ownerFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path, err := of.path(c)
		if err != nil {
			return err
		}
		if err := edit(&options.Record{}, args); err != nil { // before anything is asked
			return usage(c, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		before, after, err := changeOptions(c.Context(), client, path, func(r *options.Record) error { return edit(r, args) })
		if err != nil {
			return err
		}
		if after, err = a.awaitMembers(c, client, path, after); err != nil {
			return err
		}
		if before.Revision != after.Revision {
			if err := a.awaitDecisions(c, client, path, after.Concerns); err != nil {
				return err
			}
		}
		if format.json() {
			return printJSON(c.OutOrStdout(), after)
		}
		return a.printOptions(c.OutOrStdout(), after)
	}
}

// changeOptions reads, edits and writes until nobody else was faster.
func changeOptions(ctx context.Context, client client, path string, edit func(*options.Record) error) (before, after api.OptionsEntry, err error) {
	for range changeAttempts {
		before, after = api.OptionsEntry{}, api.OptionsEntry{}
		if err = client.get(ctx, path, nil, &before); err != nil {
			return before, after, err
		}
		next := before.Options
		if err = edit(&next); err != nil {
			return before, after, err
		}
		// A choice and a pause are not this command's: what stands there stays.
		if next.Chosen = nil; before.User != "" {
			next.PausedUntil = time.Time{}
		}
		err = client.change(ctx, http.MethodPut, path, next, fmt.Sprintf(`"%d"`, before.Revision), &after)
		if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != api.CodeChanged {
			break
		}
	}
	return before, after, err
}

// awaitMembers waits on a terminal until the members of a group are read that has
// options for the first time: only then it is known how many people are concerned.
func (a *app) awaitMembers(c *cobra.Command, client client, path string, e api.OptionsEntry) (api.OptionsEntry, error) {
	if !a.live || e.Group == "" || len(e.Options.Settings()) == 0 {
		return e, nil
	}
	for since := a.now(); e.Members == nil && a.now().Sub(since) < membersGive; {
		select {
		case <-c.Context().Done():
			return e, c.Context().Err()
		case <-time.After(progressEvery):
		}
		next := api.OptionsEntry{}
		if err := client.get(c.Context(), path, nil, &next); err != nil {
			return e, err
		}
		e = next
	}
	return e, nil
}

// awaitDecisions shows on a terminal how many people of a change are decided under it,
// until all are. Elsewhere it says where that can be seen.
func (a *app) awaitDecisions(c *cobra.Command, client client, path string, concerns int) error {
	w := c.ErrOrStderr()
	if concerns == 0 {
		return nil
	}
	if !a.live {
		fmt.Fprintf(w, "%d linked people are being decided again; `offhook watch` shows what changes\n", concerns)
		return nil
	}
	left, since := -1, a.now()
	for {
		var entry api.OptionsEntry
		if err := client.get(c.Context(), path, url.Values{"undecided": {"true"}}, &entry); err != nil {
			return err
		}
		if entry.Undecided == nil || *entry.Undecided == 0 {
			fmt.Fprintf(w, "\rdecided again: %d of %d\n", entry.Concerns, entry.Concerns)
			return nil
		}
		if *entry.Undecided != left {
			left, since = *entry.Undecided, a.now()
			fmt.Fprintf(w, "\rdecided again: %d of %d", entry.Concerns-left, entry.Concerns)
		}
		if a.now().Sub(since) > progressGives {
			fmt.Fprintln(w)
			return &api.Problem{Code: "OH-CLI-UNDECIDED", What: fmt.Sprintf("the options are set, and %d people are not decided under them yet", left),
				Where: "presence-mapper", Fix: "see whether presence-mapper runs (/readyz) and what its log says"}
		}
		select {
		case <-c.Context().Done():
			fmt.Fprintln(w)
			return c.Context().Err()
		case <-time.After(progressEvery):
		}
	}
}

func (a *app) printOptions(w io.Writer, e api.OptionsEntry) error {
	of := "tenant " + e.Tenant
	switch {
	case e.Group != "":
		of = "group " + strings.TrimSpace(e.Name+" "+e.Group) + " of " + of
	case e.User != "":
		of = whose(e) + " of " + of
	}
	changed := "nothing was ever set"
	if e.Revision > 0 {
		changed = fmt.Sprintf("revision %d of %s by %s", e.Revision, a.clock(e.Options.At), or(e.Options.By))
	}
	fmt.Fprintf(w, "%s, %s; %s\n\n", plain(of), linked(e), plain(changed))
	if e.User != "" {
		return a.printEffective(w, e)
	}
	rows := [][]string{{"OPTION", "VALUE"}}
	for _, s := range e.Options.Settings() {
		rows = append(rows, []string{s.Key, s.Value})
	}
	if until := e.Options.PausedUntil; !until.IsZero() {
		rows = append(rows, []string{"paused until", a.pauseEnd(until.Format(time.RFC3339))})
	}
	return printTable(w, rows)
}

// linked says how many linked people options are about, and of a group what is known of
// its members.
func linked(e api.OptionsEntry) string {
	text := fmt.Sprintf("%d linked", e.Concerns)
	switch {
	case e.Group == "":
	case e.Members == nil:
		text += ", members not read yet"
	case e.Members.Problem == wire.GroupDenied:
		text += fmt.Sprintf(" of %d members; they may have changed, because they may not be read: grant GroupMember.Read.All", e.Members.Users)
	case e.Members.Problem == wire.GroupTooLarge:
		text += fmt.Sprintf(" of %d members; they may have changed, because the group has more users than can be read", e.Members.Users)
	case e.Members.Problem == wire.GroupGone:
		text += "; there is no such group in Microsoft 365"
	case e.Members.Problem != "":
		text += fmt.Sprintf(" of %d members (%s)", e.Members.Users, plain(e.Members.Problem))
	default:
		text += fmt.Sprintf(" of %d members", e.Members.Users)
	}
	return text
}

// printEffective prints what is in force for a user, with what set it.
func (a *app) printEffective(w io.Writer, e api.OptionsEntry) error {
	rows := [][]string{{"OPTION", "VALUE", "FROM"}}
	for _, o := range e.Effective {
		if o.Key == "paused_until" {
			o.Key, o.Value = "paused until", a.pauseEnd(o.Value)
		}
		rows = append(rows, []string{o.Key, o.Value, strings.TrimSpace(o.From + " " + cmp.Or(o.Name, o.ID))})
	}
	if e.Options.Chosen != nil {
		rows = append(rows, []string{"chosen", a.choice(e.Options.Chosen), e.Options.Chosen.By})
	}
	return printTable(w, rows)
}

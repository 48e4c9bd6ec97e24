package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

func (a *app) newPlan() *cobra.Command {
	c := &cobra.Command{
		Use: "plan users|contacts|PLAN", Short: "What synchronising would do",
		Long: "Print what Offhook would do to extensions (users) or phonebooks (contacts), and to whom it\n" +
			"would do nothing, and why. Nothing is done until `offhook apply PLAN`, within an hour and\n" +
			"if nothing has changed by then. With the name of a PLAN that one is printed again.",
		Example: "  offhook plan users\n  offhook plan contacts --tenant contoso -o json\n  offhook plan contoso-users-1a2b3c4d5e",
		Args:    cobra.ExactArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), oneTenantFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		kind, id := args[0], ""
		if kind != string(wire.SyncUsers) && kind != string(wire.SyncContacts) {
			if _, _, err := plans.Owner(kind); err != nil {
				return usage(c, "plan what? users or contacts; or print the plan of a name like contoso-users-1a2b3c4d5e again")
			}
			id = kind
		}
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		if id == "" {
			order, err := a.synchronise(c, client, "/api/v1/plans", api.SyncBody{Tenant: *tenant, Kind: kind})
			if err != nil {
				return err
			}
			if err := syncEnd(order); err != nil {
				return err
			}
			id = order.Plan
		}
		if format.json() {
			return printPlanJSON(c.Context(), c.OutOrStdout(), client, id)
		}
		return a.printPlan(c.Context(), c.OutOrStdout(), client, id)
	}
	return c
}

func oneTenantFlag(c *cobra.Command) *string {
	return c.Flags().String("tenant", "", "of this `tenant`, by its id in the configuration; needed where there are several")
}

// silence is how long the next part of a plan is waited for.
const silence = 30 * time.Second

// readPlan reads a plan without keeping it: head is called once, then some for each
// change.
func (c client) readPlan(ctx context.Context, id string, head func(api.Plan) error, some func(plan.Change) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(errors.New("no answer in time")) })
	defer silent.Stop()
	path := "/api/v1/plans/" + url.PathEscape(id)
	answer, err := c.send(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var theirs error // of those who are called
	err = decodePlan(answer.Body, head, func(change plan.Change) error {
		silent.Reset(silence)
		theirs = some(change)
		return theirs
	}, &theirs)
	switch _, odd := errors.AsType[*json.SyntaxError](err); {
	case err == nil || theirs != nil:
		return theirs
	case odd:
		return &api.Problem{Code: "OH-CLI-ANSWER", What: c.who + " answered something else: " + err.Error(), Where: c.base + path, Fix: "check the address: " + c.fix}
	}
	return c.unreachable(ctx, err)
}

// decodePlan decodes a plan whose changes come last. theirs is set to an error of head.
func decodePlan(r io.Reader, head func(api.Plan) error, some func(plan.Change) error, theirs *error) error {
	d := json.NewDecoder(r)
	before := map[string]json.RawMessage{}
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name == "changes" {
			break
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		before[name.(string)] = value
	}
	text, err := json.Marshal(before)
	if err != nil {
		return err
	}
	var p api.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if *theirs = head(p); *theirs != nil {
		return *theirs
	}
	if _, err := d.Token(); err != nil { // [
		return err
	}
	for d.More() {
		var c plan.Change
		if err := d.Decode(&c); err != nil {
			return err
		}
		if err := some(c); err != nil {
			return err
		}
	}
	for range 2 { // ] and }
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	return nil
}

package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

const (
	// orderEvery is how often it is asked how far an order is.
	orderEvery = 500 * time.Millisecond
	// orderSlow is after how long it is said that nobody has taken an order yet.
	orderSlow = 2 * time.Second
	// orderGives is after how long an account that is being given up is not waited for
	// any more.
	orderGives = 2 * time.Minute
	// orderPatience is how long the control API may be away meanwhile.
	orderPatience = time.Minute
)

func (a *app) newAuthorize() *cobra.Command {
	c := &cobra.Command{
		Use: "authorize", Short: "Let an account sign in that hears of presences",
		Long: "Add a delegated account to a tenant, or renew the sign-in of one that is there already.\n" +
			"Each account is a lane: Microsoft tells it at once of the presence of up to 650 users.\n\n" +
			"The command prints an address and a code. Open the address in any browser, enter the code\n" +
			"and sign in as the account, with a second factor if your company asks for one. Offhook\n" +
			"never sees the password. The app registration must allow public client flows and have the\n" +
			"delegated permission Presence.Read.All. `offhook lanes` shows how the account does then.",
		Example: "  offhook authorize --tenant contoso\n  offhook authorize --tenant contoso -o json",
		Args:    cobra.NoArgs,
	}
	format, address, tenant := outputFlag(c), apiFlag(c), ofTenantFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		order, err := a.giveOrder(c, *address, *tenant, api.OrderBody{Kind: "authorize"})
		if err != nil {
			return err
		}
		if format.json() {
			return printJSON(c.OutOrStdout(), order)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is authorised: %s\n", plain(order.Account), plain(order.Detail))
		return nil
	}
	return c
}

func (a *app) newDeauthorize() *cobra.Command {
	c := &cobra.Command{
		Use: "deauthorize ACCOUNT", Short: "Give an account up that hears of presences",
		Long: "End the subscription of an account that was added with `offhook authorize` and forget its\n" +
			"sign-in. Its users get places on other lanes where there are any; everybody is swept all\n" +
			"the same. ACCOUNT is as `offhook lanes` names it. What stands in the configuration is\n" +
			"removed there.",
		Example: "  offhook deauthorize --tenant contoso zoe@contoso.example",
		Args:    cobra.ExactArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), ofTenantFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		order, err := a.giveOrder(c, *address, *tenant, api.OrderBody{Kind: "deauthorize", Account: args[0]})
		if err != nil {
			return err
		}
		if format.json() {
			return printJSON(c.OutOrStdout(), order)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is given up: %s\n", plain(order.Account), plain(order.Detail))
		return nil
	}
	return c
}

func ofTenantFlag(c *cobra.Command) *string {
	return c.Flags().String("tenant", "", "of this `tenant`, by its id in the configuration")
}

// giveOrder asks for something about accounts and waits until it is done. Errors say
// what became of it.
func (a *app) giveOrder(c *cobra.Command, address, tenant string, body api.OrderBody) (api.Order, error) {
	if tenant == "" {
		return api.Order{}, usage(c, "of which tenant? Name it with --tenant")
	}
	client, err := apiClient(address)
	if err != nil {
		return api.Order{}, err
	}
	path := "/api/v1/orders/tenants/" + url.PathEscape(tenant) + "/" + rand.Text()
	var order api.Order
	if err := client.change(c.Context(), http.MethodPut, path, body, "", &order); err != nil {
		return order, err
	}
	if order, err = a.awaitOrder(c.Context(), c.ErrOrStderr(), client, path, order); err != nil {
		return order, err
	}
	return order, orderEnd(order)
}

// awaitOrder shows how far an order about accounts is until it has ended.
func (a *app) awaitOrder(ctx context.Context, w io.Writer, client client, path string, order api.Order) (api.Order, error) {
	shown := ""
	return a.followOrder(ctx, client, path, order, func(o api.Order, since time.Duration) error {
		if o.State != shown && (o.State != api.OrderWaiting || since >= orderSlow) {
			shown = o.State
			a.showOrder(w, o)
		}
		if o.State == "leaving" && since > orderGives {
			return &api.Problem{Code: "OH-CLI-ORDER", What: o.Account + " is still being given up", Where: "graph-poller",
				Fix: "see with `offhook lanes` whether it goes, whether graph-poller runs (/readyz), and what its log says"}
		}
		return nil
	})
}

// followOrder asks how far an order is until it has ended, and shows each answer but the
// last, with how long it has been in its state.
func (a *app) followOrder(ctx context.Context, client client, path string, order api.Order, show func(o api.Order, since time.Duration) error) (api.Order, error) {
	is, since, heard := "", a.now(), a.now()
	for !order.Ended {
		if order.State != is {
			is, since = order.State, a.now()
		}
		if err := show(order, a.now().Sub(since)); err != nil {
			return order, err
		}
		select {
		case <-ctx.Done():
			return order, ctx.Err()
		case <-time.After(orderEvery):
		}
		next := api.Order{}
		err := client.get(ctx, path, nil, &next)
		if p, ok := errors.AsType[*api.Problem](err); err != nil && (ok && p.Code == api.CodeOrderUnknown || a.now().Sub(heard) > orderPatience) {
			return order, err
		}
		if err == nil {
			order, heard = next, a.now()
		}
	}
	return order, nil
}

// showOrder tells a person what an order waits for.
func (a *app) showOrder(w io.Writer, o api.Order) {
	switch o.State {
	case "code":
		until := ""
		if o.CodeExpires != nil {
			until = ", before " + a.clock(*o.CodeExpires)
		}
		fmt.Fprintf(w, "Open      %s\nand enter %s%s. Waiting for the sign-in ...\n", plain(o.URL), plain(o.UserCode), until)
	case "leaving":
		fmt.Fprintf(w, "%s is being given up ...\n", plain(o.Account))
	case api.OrderWaiting:
		fmt.Fprintln(w, "Waiting for graph-poller ...")
	}
}

// orderEnd is the problem that an order ended with, nil if there is none.
func orderEnd(o api.Order) error {
	p := &api.Problem{Code: "OH-ORDER-FAILED", What: o.Kind + " failed: " + o.Detail, Where: "tenant " + o.Tenant, Fix: "put that right and start again"}
	switch o.State {
	case "authorised", "removed":
		return nil
	case "refused":
		p.Code, p.What = "OH-ORDER-REFUSED", "the sign-in was refused: "+o.Detail
		p.Fix = "start again and accept; if Microsoft refused it, see that the app registration allows public client flows and has the delegated permission Presence.Read.All with consent, and that the account may sign in"
	case "expired":
		p.Code, p.What = "OH-ORDER-EXPIRED", "the time for it is over: "+o.Detail
		p.Fix = "start again; if no code was shown, see whether graph-poller runs (/readyz)"
	case "interrupted":
		p.Code, p.What = "OH-ORDER-INTERRUPTED", "the sign-in was interrupted: "+o.Detail
		p.Fix = "start again: a code that was shown is of no use any more"
	}
	return p
}

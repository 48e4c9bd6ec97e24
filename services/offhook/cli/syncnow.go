package cli

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

func (a *app) newSync() *cobra.Command {
	c := &cobra.Command{
		Use: "sync", Short: "Synchronise users and contacts",
		Long: "Synchronise users with extensions, and contacts with phonebooks, before it is time. `offhook\n" +
			"plan` shows what would be done.",
		Example: "  offhook sync now\n  offhook sync now users --tenant contoso",
	}
	group(c)
	c.AddCommand(a.newSyncNow())
	return c
}

func (a *app) newSyncNow() *cobra.Command {
	c := &cobra.Command{
		Use: "now [users|contacts]", Short: "Read Microsoft 365 now, and do what follows from it",
		Long: "Read the users or contacts of a tenant now, and do what follows from that at once, as the\n" +
			"nightly run would, also where the policy is off. Without users or contacts it is both.\n" +
			"The brake holds: what it holds back is shown by `offhook plan`. It goes on when this\n" +
			"command is interrupted.",
		Example: "  offhook sync now\n  offhook sync now contacts --tenant contoso -o json",
		Args:    cobra.MaximumNArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), oneTenantFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		kinds := []string{string(wire.SyncUsers), string(wire.SyncContacts)}
		if len(args) > 0 {
			if args[0] != kinds[0] && args[0] != kinds[1] {
				return usage(c, fmt.Sprintf("synchronise %q? It is users or contacts", args[0]))
			}
			kinds = args
		}
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		orders := []api.Order{}
		var first error
		for _, kind := range kinds {
			order, err := a.synchronise(c, client, "/api/v1/sync", api.SyncBody{Tenant: *tenant, Kind: kind})
			if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNoContacts && len(args) == 0 {
				continue // nobody asked for them by name
			}
			if err != nil { // nothing came of it; nor would it of the rest
				first = cmp.Or(first, err)
				break
			}
			orders = append(orders, order)
			first = cmp.Or(first, syncEnd(order))
			if !format.json() {
				if err := printApplied(c.OutOrStdout(), order); err != nil {
					return err
				}
			}
		}
		if format.json() {
			if err := printJSON(c.OutOrStdout(), orders); err != nil {
				return err
			}
		}
		return first
	}
	return c
}

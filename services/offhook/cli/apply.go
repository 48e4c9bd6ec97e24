package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

func (a *app) newApply() *cobra.Command {
	c := &cobra.Command{
		Use: "apply PLAN", Short: "Do what a plan says",
		Long: "Do what a plan of `offhook plan` says, and show how far that is. A plan that is older than an\n" +
			"hour, or that would be another one by now, is refused. What the brake holds back is done\n" +
			"with --force only. It goes on when this command is interrupted.",
		Example: "  offhook apply contoso-users-1a2b3c4d5e\n  offhook apply contoso-users-1a2b3c4d5e --force -o json",
		Args:    cobra.ExactArgs(1),
	}
	format, address := outputFlag(c), apiFlag(c)
	force := c.Flags().Bool("force", false, "do what the brake holds back, too")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		order, err := a.synchronise(c, client, "/api/v1/plans/"+url.PathEscape(args[0])+"/apply", api.ApplyBody{Force: *force})
		if err != nil {
			return err
		}
		if format.json() {
			err = printJSON(c.OutOrStdout(), order)
		} else {
			err = printApplied(c.OutOrStdout(), order)
		}
		if err == nil && !format.json() && order.Failed > 0 && order.Plan != "" && order.What == string(wire.SyncUsers) {
			err = cmp.Or(syncEnd(order), a.printFailures(c.Context(), c.OutOrStdout(), client, order.Plan))
		}
		return cmp.Or(err, syncEnd(order))
	}
	return c
}

// printApplied says what was done, if anything was.
func printApplied(w io.Writer, o api.Order) error {
	switch wire.SyncState(o.State) {
	case wire.SyncDone, wire.SyncBraked:
		_, err := fmt.Fprintf(w, "%s of %s: %s\n", plain(o.What), plain(o.Tenant), progress(o.Total, o.Done, o.Failed))
		return err
	}
	return nil
}

// progress words how many changes are done.
func progress(total, done, failed int) string {
	if total == 0 {
		return "nothing to do"
	}
	text := fmt.Sprintf("%d of %d changes done", done-failed, total)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	return text
}

// synchronise orders something about users or contacts and shows how far it is until it
// has ended.
func (a *app) synchronise(c *cobra.Command, client client, path string, body any) (api.Order, error) {
	var order api.Order
	err := client.change(c.Context(), http.MethodPost, path, body, "", &order)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeTenantMissing {
		p.Fix = "name it with --tenant"
		return order, usageError{p}
	}
	if err != nil {
		return order, err
	}
	show := &syncProgress{app: a, w: c.ErrOrStderr()}
	order, err = a.followOrder(c.Context(), client, "/api/v1/orders/tenants/"+url.PathEscape(order.Tenant)+"/"+url.PathEscape(order.ID), order, show.show)
	show.end()
	if errors.Is(err, context.Canceled) && order.Kind != string(wire.SyncPlan) {
		fmt.Fprintln(c.ErrOrStderr(), "it goes on without this command")
	}
	return order, err
}

// syncProgress shows on a terminal how far an order about users or contacts is. Elsewhere
// it says only whom is waited for.
type syncProgress struct {
	*app
	w     io.Writer
	width int  // of what stands in the line
	said  bool // whom is waited for

	state string    // of which the following are
	began time.Time // when the first progress was seen
	first int       // what was done by then
}

func (s *syncProgress) show(o api.Order, since time.Duration) error {
	if o.State == api.OrderWaiting {
		if since >= orderSlow && !s.said {
			s.said = true
			s.end()
			fmt.Fprintf(s.w, "Waiting: %s ...\n", plain(o.Detail))
		}
		return nil
	}
	if s.live {
		s.line(s.words(o))
	}
	return nil
}

// line replaces what stands in the line.
func (s *syncProgress) line(text string) {
	fmt.Fprintf(s.w, "\r%-*s", s.width, text)
	s.width = len([]rune(text))
}

// end leaves the line.
func (s *syncProgress) end() {
	if s.width > 0 {
		fmt.Fprintln(s.w)
		s.width = 0
	}
}

// words says how far an order is.
func (s *syncProgress) words(o api.Order) string {
	if o.State != s.state {
		s.state, s.began, s.first = o.State, s.now(), o.Done
	}
	switch wire.SyncState(o.State) {
	case wire.SyncReading:
		return "reading Microsoft 365 ..." + s.count(o)
	case wire.SyncPlanned:
		return "planned: " + plain(o.Detail)
	case wire.SyncApplying:
		return "applying ..." + s.count(o)
	}
	return plain(o.State) + " ..."
}

// count words the numbers, and how long the rest takes as fast as it went so far.
func (s *syncProgress) count(o api.Order) string {
	if o.Total == 0 {
		return ""
	}
	text := fmt.Sprintf(" %d of %d", o.Done, o.Total)
	if o.Failed > 0 {
		text += fmt.Sprintf(", %d failed", o.Failed)
	}
	if went := o.Done - s.first; went > 0 && o.Done < o.Total {
		left := s.now().Sub(s.began) * time.Duration(o.Total-o.Done) / time.Duration(went)
		text += ", about " + age(max(time.Second, left).Milliseconds()) + " left"
	}
	return text
}

// syncEnd is the problem that an order about users or contacts ended with, nil if there
// is none.
func syncEnd(o api.Order) error {
	again := fmt.Sprintf("`offhook plan %s --tenant %s`", o.What, o.Tenant)
	where := o.What + " of tenant " + o.Tenant
	if o.Plan != "" {
		where = "plan " + o.Plan
	}
	p := &api.Problem{Code: "OH-ORDER-FAILED", What: o.Kind + " failed: " + o.Detail, Where: where, Fix: "put that right and start again"}
	switch state := wire.SyncState(o.State); {
	case state == wire.SyncPlanned, state == wire.SyncDone && o.Failed == 0:
		return nil
	case state == wire.SyncDone:
		p.Code, p.What = "OH-ORDER-INCOMPLETE", fmt.Sprintf("%d of %d changes failed", o.Failed, o.Total)
		p.Fix = "see with " + again + " what is still to be done, and why it was not"
	case state == wire.SyncBraked:
		p.Code, p.What = "OH-ORDER-BRAKED", "the brake held changes back: "+o.Detail
		p.Fix = "look at them with " + again + "; if so many are to go, apply that plan with --force"
	case state == wire.SyncStale:
		p.Code, p.What, p.Fix = "OH-ORDER-STALE", "the plan is not what would be done now: "+o.Detail, "make a new one with "+again+", look at it, and apply that"
	case state == wire.SyncExpired:
		p.Code, p.What = "OH-ORDER-EXPIRED", "the time for it is over: "+o.Detail
		p.Fix = "start again; if that does not help, see whether graph-poller, user-sync and contact-sync run (/readyz)"
	case state == wire.SyncRefused:
		p.Code, p.What, p.Fix = "OH-ORDER-REFUSED", "it was refused: "+o.Detail, "make a new plan with "+again
	case o.State == string(wire.OrderInterrupted):
		p.Code, p.What, p.Fix = "OH-ORDER-INTERRUPTED", "it was interrupted: "+o.Detail, "start again"
	}
	return p
}

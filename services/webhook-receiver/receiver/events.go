package receiver

import (
	"context"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/subscription"
)

// events turns a POST about one user's calendar into hints. Whose calendar it is
// says the record, which Graph cannot change, and not the items; they only say that
// something happened. Hence one hint, however many items there are.
func (o *opening) events(ctx context.Context) error {
	if len(o.record.Users) != 1 {
		o.r.metrics.opened(ctx, "no-user", len(o.in.Items))
		return nil
	}
	user := o.record.Users[0]
	if o.in.Lifecycle {
		return o.eventLifecycle(ctx, user)
	}
	changes := 0
	for _, raw := range o.in.Items {
		item, ok := o.own(ctx, raw)
		switch {
		case !ok:
		case item.Resource.Kind != notification.Event:
			o.r.metrics.opened(ctx, "not-event", 1)
		default:
			changes++
		}
	}
	if changes == 0 {
		return nil
	}
	o.r.metrics.opened(ctx, "event", changes)
	return o.r.hint(ctx, subscription.HintEvent, o.record.Tenant, string(user), "notification of a calendar", o.at)
}

// eventLifecycle passes on what Graph says about the subscription itself. Where
// changes may have been lost the calendar is read as well. Of several events in a
// POST a removal counts most.
// https://learn.microsoft.com/graph/change-notifications-lifecycle-events
func (o *opening) eventLifecycle(ctx context.Context, user identity.User) error {
	said := map[notification.Lifecycle]bool{}
	for _, raw := range o.in.Items {
		item, ok := o.own(ctx, raw)
		if !ok {
			continue
		}
		switch item.Lifecycle {
		case notification.Missed, notification.SubscriptionRemoved, notification.ReauthorizationRequired:
			o.r.metrics.opened(ctx, "lifecycle", 1)
			said[item.Lifecycle] = true
		default:
			o.r.metrics.opened(ctx, "unknown-lifecycle", 1)
		}
	}
	for _, about := range []notification.Lifecycle{notification.SubscriptionRemoved, notification.ReauthorizationRequired} {
		if !said[about] {
			continue
		}
		if err := o.r.hint(ctx, subscription.HintEventSubscription, o.record.Tenant, o.in.Subscription, string(about), o.at); err != nil {
			return err
		}
		break
	}
	if said[notification.Missed] || said[notification.SubscriptionRemoved] {
		return o.r.hint(ctx, subscription.HintEvent, o.record.Tenant, string(user), "notifications of a calendar were lost", o.at)
	}
	return nil
}

// own decodes an item, and says whether it is the subscription's own tenant's.
func (o *opening) own(ctx context.Context, raw []byte) (notification.Item, bool) {
	item, err := notification.DecodeItem(raw)
	if err != nil {
		o.r.metrics.opened(ctx, "malformed", 1)
		return item, false
	}
	if item.Directory != o.record.Directory {
		o.r.metrics.opened(ctx, "foreign-tenant", 1)
		return item, false
	}
	return item, true
}

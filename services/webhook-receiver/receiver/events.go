package receiver

import (
	"context"

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
	user := string(o.record.Users[0])
	if o.in.Lifecycle {
		return o.appLifecycle(ctx, subscription.HintEvent, user, "notifications of a calendar were lost")
	}
	if o.count(ctx, notification.Event) == 0 {
		return nil
	}
	return o.r.hint(ctx, subscription.HintEvent, o.record.Tenant, user, "notification of a calendar", o.at)
}

// everybody is the id of hints about users: the delta says who changed.
const everybody = "all"

// users turns a POST about users of the directory into one hint.
func (o *opening) users(ctx context.Context) error {
	if o.in.Lifecycle {
		return o.appLifecycle(ctx, subscription.HintUsers, everybody, "notifications of users were lost")
	}
	if o.count(ctx, notification.User) == 0 {
		return nil
	}
	return o.r.hint(ctx, subscription.HintUsers, o.record.Tenant, everybody, "notification of users", o.at)
}

// count counts the items about a kind of resource.
func (o *opening) count(ctx context.Context, kind notification.Kind) (changes int) {
	for _, raw := range o.in.Items {
		item, ok := o.own(ctx, raw)
		switch {
		case !ok:
		case item.Resource.Kind != kind:
			o.r.metrics.opened(ctx, "not-"+kind.String(), 1)
		default:
			changes++
		}
	}
	if changes > 0 {
		o.r.metrics.opened(ctx, kind.String(), changes)
	}
	return changes
}

// appLifecycle passes on what Graph says about a subscription of the application's
// itself. Where changes may have been lost there is a hint about what it is about as
// well. Of several events in a POST a removal counts most.
// https://learn.microsoft.com/graph/change-notifications-lifecycle-events
func (o *opening) appLifecycle(ctx context.Context, kind, about, lost string) error {
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
	for _, event := range []notification.Lifecycle{notification.SubscriptionRemoved, notification.ReauthorizationRequired} {
		if !said[event] {
			continue
		}
		if err := o.r.hint(ctx, subscription.HintEventSubscription, o.record.Tenant, o.in.Subscription, string(event), o.at); err != nil {
			return err
		}
		break
	}
	if said[notification.Missed] || said[notification.SubscriptionRemoved] {
		return o.r.hint(ctx, kind, o.record.Tenant, about, lost, o.at)
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

package graphsim

import (
	"encoding/json"
	"fmt"
	"time"
)

// notice is one notification on its way: a number, where it goes and what it says.
type notice struct {
	number   uint64
	tenant   *Tenant
	sub      subscription // as it was when the change happened
	id       string       // of what changed
	path     string       // resource of the item
	odata    string       // its @odata.type
	change   string       // its changeType, or "" for a lifecycle event
	event    string       // the lifecycle event
	etag     string
	content  []byte          // what is encrypted in a rich one
	rendered json.RawMessage // once it has been sent: a repetition is the same
	sent     bool
}

// notifyPresence tells the subscriptions to p's presence. t.mu is held.
func (t *Tenant) notifyPresence(p *person) {
	if len(t.watchers[p.id]) == 0 {
		return
	}
	t.expireSubscriptions()
	for _, sub := range t.watchers[p.id] {
		n := &notice{sub: *sub, id: p.id, path: "communications/presences/" + p.id, odata: "#microsoft.graph.presence", change: "updated"}
		if sub.rich {
			n.content = t.presenceContent(p)
		}
		t.emit(n)
	}
}

// notifyUser tells the subscriptions to users that p was created, changed or
// removed. t.mu is held.
func (t *Tenant) notifyUser(p *person) {
	change := "updated" // also for a creation and a soft deletion
	if p.removed == "deleted" {
		change = "deleted"
	}
	t.notifyWatchers(userKind, p.id, change, notice{id: p.id, path: "Users/" + p.id, odata: "#Microsoft.Graph.User"})
}

// NotifyEvent sends the notification for a change of one calendar event of a user.
// The simulator keeps no calendars; change is created, updated or deleted.
func (t *Tenant) NotifyEvent(ref, eventID, change string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	t.notifyWatchers(eventKind, p.id, change, notice{id: eventID, path: "Users/" + p.id + "/Events/" + eventID,
		odata: "#Microsoft.Graph.Event", etag: fmt.Sprintf("W/\"%d\"", t.nextStamp(t.server.now()))})
	return nil
}

// notifyWatchers goes over all subscriptions of a kind: there are few. t.mu is held.
func (t *Tenant) notifyWatchers(kind *resourceKind, user, change string, template notice) {
	t.expireSubscriptions()
	for _, sub := range t.subscriptions {
		if sub.resource.kind == kind && t.covers(sub, user) && hasWord(sub.changeType, change) {
			n := template
			n.sub, n.change = *sub, change
			t.emit(&n)
		}
	}
}

// covers says whether a subscription names a user, by id or UPN, or all.
func (t *Tenant) covers(sub *subscription, user string) bool {
	if sub.resource.users == nil {
		return true
	}
	for _, ref := range sub.resource.users {
		if p := t.exact(ref); ref == user || p != nil && p.id == user {
			return true
		}
	}
	return false
}

// NotifyLifecycle sends a lifecycle event (reauthorizationRequired, missed or
// subscriptionRemoved) to a subscription's lifecycleNotificationUrl.
func (t *Tenant) NotifyLifecycle(subscriptionID, event string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subscriptions[subscriptionID]
	if sub == nil {
		return t.noSubscription(subscriptionID)
	}
	if sub.lifecycleURL == "" {
		return fmt.Errorf("subscription %s has no lifecycleNotificationUrl; create it with one", subscriptionID)
	}
	t.emitLifecycle(sub, event)
	return nil
}

func (t *Tenant) emitLifecycle(sub *subscription, event string) {
	n := &notice{sub: *sub, event: event}
	n.sub.url = sub.lifecycleURL
	t.emit(n)
}

// warnLater sends reauthorizationRequired when a quarter of the token's life is
// left. t.mu is held.
func (t *Tenant) warnLater(sub *subscription) {
	if sub.lifecycleURL == "" {
		return
	}
	id, token := sub.id, sub.tokenExpires
	wait := token.Add(-t.server.config.TokenLife / 4).Sub(t.server.now())
	t.server.posts.later(max(wait, 0), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if sub := t.subscriptions[id]; sub != nil && sub.tokenExpires.Equal(token) {
			t.emitLifecycle(sub, "reauthorizationRequired")
		}
	})
}

// emit numbers a notice and hands it to the postbox, through whatever faults there
// are. t.mu is held.
func (t *Tenant) emit(n *notice) {
	n.tenant = t
	ours := func(f Fault) bool { return f.Subscription == "" || f.Subscription == n.sub.id }
	count := func(change func(*Tally)) { t.ledger.note(n.sub.id, change) }
	count(func(l *Tally) { l.Due++ })
	if _, hit := t.strike(FaultSilent, ours); hit {
		count(func(l *Tally) { l.Silenced++ })
		return
	}
	if _, hit := t.strike(FaultLose, ours); hit {
		count(func(l *Tally) { l.Lost++ })
		return
	}
	copies := []*notice{n}
	if _, hit := t.strike(FaultDouble, ours); hit {
		count(func(l *Tally) { l.Doubled++ })
		twin := *n
		copies = append(copies, &twin)
	}
	for _, each := range copies {
		each.number = t.server.posts.number()
		count(func(l *Tally) { l.Pending++ })
		t.server.posts.accept(each, t.routeOf(ours))
	}
}

// route is how a notice is treated on its way.
type route struct {
	delay time.Duration // before it is queued
	hold  time.Duration // not 0: until the next one has passed, at most so long
}

func (t *Tenant) routeOf(ours func(Fault) bool) route {
	var r route
	if f, hit := t.strike(FaultLate, ours); hit {
		r.delay = f.Delay
	}
	if f, hit := t.strike(FaultReorder, ours); hit {
		r.hold = f.Delay
	}
	return r
}

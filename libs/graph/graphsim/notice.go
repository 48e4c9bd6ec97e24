package graphsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// notice is one notification on its way: a number, where it goes and what it says.
type notice struct {
	number   uint64
	tenant   *Tenant
	sub      subscription // as it was when the change happened
	user     string       // id of the user whom it is about, "" for a lifecycle event
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
	for _, sub := range slices.Clone(t.watchers[p.id]) { // a fault may end one
		n := &notice{sub: *sub, user: p.id, id: p.id, path: "communications/presences/" + p.id, odata: "#microsoft.graph.presence", change: "updated"}
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
	t.notifyWatchers(userKind, p.id, change, notice{user: p.id, id: p.id, path: "Users/" + p.id, odata: "#Microsoft.Graph.User"})
}

// NotifyEvent sends the notification for a change of one calendar event of a user
// that need not exist; change is created, updated or deleted.
func (t *Tenant) NotifyEvent(ref, eventID, change string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	t.notifyEventAs(p, change, fmt.Sprintf("W/\"%d\"", t.nextStamp(t.server.now())), func(bool) string { return eventID })
	return nil
}

// notifyEvent tells the subscriptions to p's events. t.mu is held.
func (t *Tenant) notifyEvent(p *person, key, change, etag string) {
	t.notifyEventAs(p, change, etag, func(immutable bool) string { return eventID(key, "", immutable) })
}

// notifyEventAs has each subscription told the form of the id that it was created
// for. t.mu is held.
func (t *Tenant) notifyEventAs(p *person, change, etag string, id func(immutable bool) string) {
	if len(t.watchersOf[p.id]) == 0 {
		return
	}
	t.expireSubscriptions()
	for _, sub := range slices.Clone(t.watchersOf[p.id]) { // a fault may end one
		if !hasWord(sub.changeType, change) {
			continue
		}
		n := &notice{sub: *sub, user: p.id, id: id(sub.immutable), odata: "#Microsoft.Graph.Event", change: change, etag: etag}
		n.path = "Users/" + p.id + "/Events/" + n.id
		t.emit(n)
	}
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
// subscriptionRemoved) to a subscription's lifecycleNotificationUrl. One that is
// removed ends.
func (t *Tenant) NotifyLifecycle(subscriptionID, event string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subscriptions[subscriptionID]
	if sub == nil {
		return t.noSubscription(subscriptionID)
	}
	if !slices.Contains([]string{"reauthorizationRequired", "missed", "subscriptionRemoved"}, event) {
		return fmt.Errorf("lifecycle event %q is none of reauthorizationRequired, missed, subscriptionRemoved", event)
	}
	if sub.lifecycleURL == "" {
		return fmt.Errorf("subscription %s has no lifecycleNotificationUrl; create it with one", subscriptionID)
	}
	if event == "subscriptionRemoved" {
		t.drop(sub)
	}
	t.emitLifecycle(sub, event)
	return nil
}

// emitLifecycle does nothing where there is no URL for it. t.mu is held.
func (t *Tenant) emitLifecycle(sub *subscription, event string) {
	if sub.lifecycleURL == "" {
		return
	}
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
	ours := func(f Fault) bool {
		return (f.Subscription == "" || f.Subscription == n.sub.id) && (f.User == "" || f.User == n.user) && (f.Resource == "" || f.Resource == n.resource())
	}
	count := func(change func(*Tally)) { t.ledger.note(n.sub.id, change) }
	count(func(l *Tally) { l.Due++ })
	if _, hit := t.strike(FaultSilent, ours); hit {
		count(func(l *Tally) { l.Silenced++ })
		return
	}
	if _, hit := t.strike(FaultLose, ours); hit || t.happens(n, ours) {
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

// resource is what a notice is about, as Fault.Resource names it.
func (n *notice) resource() string {
	if n.event != "" {
		return "lifecycle"
	}
	return n.sub.resource.kind.name
}

// happens lets the faults strike that a lifecycle event tells of. It says whether
// the notice is lost. t.mu is held.
func (t *Tenant) happens(n *notice, ours func(Fault) bool) (lost bool) {
	if n.event != "" {
		return false
	}
	sub := n.sub // as it was; only live ones emit
	if _, hit := t.strike(FaultReauthorize, ours); hit {
		t.emitLifecycle(&sub, "reauthorizationRequired")
	}
	if _, hit := t.strike(FaultMiss, ours); hit {
		t.emitLifecycle(&sub, "missed")
		return true
	}
	if _, hit := t.strike(FaultRemove, ours); hit {
		if live := t.subscriptions[sub.id]; live != nil {
			t.drop(live)
		}
		t.emitLifecycle(&sub, "subscriptionRemoved")
		return true
	}
	return false
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

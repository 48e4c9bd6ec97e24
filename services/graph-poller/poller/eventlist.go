package poller

import (
	"context"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/subscription"
)

// listRest is how many times as long as a list took the next one waits: a list of
// 100,000 is a thousand requests of a small quota.
const listRest = 30

// listState is about the list of all subscriptions that Graph has.
type listState struct {
	under  bool      // one is being read
	wanted bool      // something is there, or is not, that a list would explain
	ended  time.Time // the last one, in broker time
	next   time.Time // not before, unless one is wanted
	pause  pause
}

// startList reads the list in the background, where one is due.
func (k *eventKeeper) startList(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.t.p.bus.Now()
	due := k.list.next
	if k.list.wanted {
		due = k.list.ended.Add(k.t.conf.Events.List)
	}
	if k.list.under || due.After(now) || k.list.pause.until.After(now) {
		return
	}
	k.list.under, k.list.wanted = true, false
	k.listings.Go(func() {
		all, err := k.t.client.Subscriptions(ctx)
		var unknown []found
		if err == nil {
			unknown, err = k.compare(ctx, now, all)
		}
		k.listed(ctx, now, unknown, err)
	})
}

// found is a subscription of an eventKeeper's kind at Graph under a key that is not held.
type found struct {
	user identity.User
	is   graph.Subscription
	key  string
	// record is the one in the bucket; its key is "" if there is none.
	record generation
}

// compare confirms what is held and doubts what is missing. It returns what calls us
// and is not held, with its record.
func (k *eventKeeper) compare(ctx context.Context, began time.Time, all []graph.Subscription) ([]found, error) {
	var unknown []found
	k.mu.Lock()
	there := make(map[string]bool, len(all))
	k.foreign = 0
	for _, is := range all {
		user, kept := userOfResource(is.Resource)
		if !kept {
			continue
		}
		key, ours := k.keyOf(is.Notify)
		if !ours {
			k.foreign++ // another product's, or another installation's: not ours to touch
			continue
		}
		there[key] = true
		h := k.held[user]
		if h == nil || h.key != key {
			unknown = append(unknown, found{user: user, is: is, key: key})
			continue
		}
		h.record.ID, h.doubt = is.ID, false
		if h.touched.Before(began) {
			h.record.Expires = is.Expires // Graph knows
		}
	}
	for _, h := range k.held {
		if h.key != "" && !there[h.key] && h.touched.Before(began) {
			h.doubt = true // pages shift while they are read: it is asked for by itself
		}
	}
	k.mu.Unlock()
	for i := range unknown {
		e, err := k.t.p.subscriptions.Get(ctx, unknown[i].key)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, err
		}
		if err == nil {
			record, err := subscription.Decode(e.Value)
			if err == nil && record.Tenant == k.t.conf.ID {
				unknown[i].record = generation{e.Key, record}
			}
		}
	}
	return unknown, nil
}

// keyOf returns the key of the record of a notification URL, if that leads to us.
func (k *eventKeeper) keyOf(notify string) (string, bool) {
	path, ours := strings.CutPrefix(notify, k.t.conf.PublicURL+"/graph/")
	path, _, _ = strings.Cut(path, "/")
	return subscription.KeyOf(path), ours && subscription.IsKey(path)
}

// listed ends a list: what is unknown is a stray, unless it is being made just now, or
// somebody made it before this lease began and nobody holds another for the user.
func (k *eventKeeper) listed(ctx context.Context, began time.Time, unknown []found, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.t.p.bus.Now()
	k.list.under, k.list.ended = false, now
	k.list.next = now.Add(max(k.t.conf.Events.List, listRest*now.Sub(began)))
	k.list.pause.note(err, now, k.t.conf.Events.Retry, longestPause)
	if err != nil {
		if ctx.Err() == nil {
			k.t.log.Warn("list of subscriptions", "kind", fault.KindOf(err), "error", err)
		}
		return
	}
	for _, f := range unknown {
		h := k.held[f.user]
		switch {
		case h != nil && h.key == f.key: // made meanwhile
		case f.record.key != "" && f.record.record.Made.After(began.Add(-clockSkew)): // being made
		default:
			stray := generation{f.key, k.t.recordOf(f.user)}
			stray.record.ID = f.is.ID
			k.strays = append(k.strays, stray)
		}
	}
	k.awake()
}

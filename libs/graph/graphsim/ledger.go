package graphsim

import "fmt"

// Tally counts notifications. At every moment
//
//	Due + Doubled = Silenced + Lost + Dropped + Accepted + GivenUp + Pending
//
// and, but for POSTs under way, Attempts = Accepted + Refused + Other.
type Tally struct {
	Due      int `json:"due"`      // what the subscriptions were entitled to
	Doubled  int `json:"doubled"`  // copies made by FaultDouble
	Silenced int `json:"silenced"` // not sent: FaultSilent
	Lost     int `json:"lost"`     // not sent: FaultLose
	Dropped  int `json:"dropped"`  // not sent: the endpoint was in the drop state
	Sent     int `json:"sent"`     // sent at least once
	Accepted int `json:"accepted"` // answered 2xx in time
	GivenUp  int `json:"givenUp"`  // retried for as long as Graph retries
	Pending  int `json:"pending"`  // waiting for their first or another attempt, or under way
	Attempts int `json:"attempts"`
	Refused  int `json:"refused"` // attempts answered 5xx
	Other    int `json:"other"`   // attempts answered otherwise, or not in time
	Retried  int `json:"retried"` // attempts after the first
	Paused   int `json:"paused"`  // attempts put off because the subscription's token had expired
}

// Ledger is the Tally of a tenant, and of each subscription it ever had.
type Ledger struct {
	Total         Tally            `json:"total"`
	Subscriptions map[string]Tally `json:"subscriptions"`
}

type ledger struct {
	total Tally
	subs  map[string]*Tally
}

func newLedger() ledger { return ledger{subs: make(map[string]*Tally)} }

// of returns the tally of a subscription.
func (l *ledger) of(subscription string) *Tally {
	tally := l.subs[subscription]
	if tally == nil {
		tally = new(Tally)
		l.subs[subscription] = tally
	}
	return tally
}

// note changes the tally of a subscription and the total alike.
func (l *ledger) note(subscription string, change func(*Tally)) {
	change(&l.total)
	change(l.of(subscription))
}

// Ledger returns the counts of all notifications so far.
func (t *Tenant) Ledger() Ledger {
	t.mu.RLock()
	defer t.mu.RUnlock()
	copied := Ledger{Total: t.ledger.total, Subscriptions: make(map[string]Tally, len(t.ledger.subs))}
	for id, tally := range t.ledger.subs {
		copied.Subscriptions[id] = *tally
	}
	return copied
}

func (t *Tenant) noSubscription(id string) error {
	return fmt.Errorf("subscription %q in tenant %s: %w", id, t.domain, ErrNotFound)
}

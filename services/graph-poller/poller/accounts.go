package poller

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
)

// signedIn is a value of the bucket `accounts`, under the key of the account's lane: an
// account that has signed in by device code. Its name is the user principal name that
// it had then, in lower case; who it is says User.
type signedIn struct {
	User identity.User `json:"user"`
	UPN  string        `json:"upn,omitempty"` // at the last sign-in, as it was written
	// Sealed is the newest refresh token, encrypted for graph-poller's vault.
	Sealed []byte `json:"sealed"`
	// SignedIn is which sign-in the token descends from.
	SignedIn time.Time `json:"signed_in"`
	// Configured says that the token is used instead of the one in the file of an account
	// of the configuration. It goes when that account goes.
	Configured bool     `json:"configured,omitempty"`
	Leaving    *leaving `json:"leaving,omitempty"`
}

// leaving marks an account that is being given up.
type leaving struct {
	Orders []string  `json:"orders"` // who waits for it
	Since  time.Time `json:"since"`
}

func (r signedIn) encode() []byte {
	value, err := json.Marshal(r)
	if err != nil {
		panic("account record: " + err.Error()) // plain fields: cannot fail
	}
	return value
}

func decodeSignedIn(value []byte) (signedIn, error) {
	var r signedIn
	if err := json.Unmarshal(value, &r); err != nil {
		return signedIn{}, fault.New(fault.Invalid, "account record", err)
	}
	return r, nil
}

// member is an account that holds a lane.
type member struct {
	Account
	configured bool
	record     signedIn // of those that have signed in
}

// roster is everybody who holds a lane for a tenant: the accounts of the configuration
// and those that have signed in, as one list. It mirrors the bucket `accounts`.
type roster struct {
	tenant     identity.Tenant
	configured []Account
	changed    *signal
	current    chan struct{} // closed when the bucket has been read

	mu      sync.RWMutex // guards records
	records map[string]signedIn
}

func newRoster(conf TenantConfig) *roster {
	return &roster{tenant: conf.ID, configured: conf.Accounts, changed: newSignal(), current: make(chan struct{}), records: map[string]signedIn{}}
}

// run keeps the roster current until ctx ends.
func (r *roster) run(ctx context.Context, b *store.Bucket) error {
	return b.Watch(ctx, subscription.LaneKey(r.tenant, "*"), func(e store.Entry) error {
		_, name, err := subscription.ParseLaneKey(e.Key)
		if err != nil {
			return nil // a later version keeps something else here
		}
		record, err := decodeSignedIn(e.Value)
		if err != nil && !e.Deleted {
			return nil
		}
		r.set(name, record, e.Deleted)
		r.changed.give()
		return nil
	}, sync.OnceFunc(func() { close(r.current) }))
}

func (r *roster) set(name string, record signedIn, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone {
		delete(r.records, name)
		return
	}
	r.records[name] = record
}

// all lists the members by name, those that are leaving included.
func (r *roster) all() []member {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []member
	for _, a := range r.configured {
		m := member{Account: a, configured: true}
		if record, there := r.records[a.Name]; there && record.Configured {
			m.record = record
		}
		list = append(list, m)
	}
	for name, record := range r.records {
		if !record.Configured { // else it stands above, or is about to go
			list = append(list, member{Account: Account{Name: name}, record: record})
		}
	}
	slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// of returns the member of a name.
func (r *roster) of(name string) (member, bool) {
	for _, m := range r.all() {
		if m.Name == name {
			return m, true
		}
	}
	return member{}, false
}

// await waits until there is a member. It returns false when ctx has ended.
func (r *roster) await(ctx context.Context) bool {
	for {
		changed := r.changed.next()
		if len(r.all()) > 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// names lists the names of the members.
func (r *roster) names() []string {
	var names []string
	for _, m := range r.all() {
		names = append(names, m.Name)
	}
	return names
}

// client makes a client that acts as a member.
func (t *tenant) clientOf(m member) (graph.Subscriber, error) {
	if m.Client != nil {
		return m.Client()
	}
	return t.conf.Delegated(&keptToken{t: t, name: m.Name, file: m.Store})
}

// keptToken is the refresh token of an account: in the bucket `accounts` where it has
// signed in, else in the file of the configuration. Entra replaces it with every use,
// and the new one is stored before anything is done with what came with it. A process
// that dies in between leaves one that Entra may not take any more; then the lane
// fails and says that the account has to sign in again.
type keptToken struct {
	t    *tenant
	name string
	file graph.RefreshStore // or nil

	mu   sync.Mutex // guards what follows
	from time.Time  // the sign-in that the token in use descends from; zero: the file's
}

// Load implements graph.RefreshStore.
func (k *keptToken) Load(ctx context.Context) (secret.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	record, _, err := k.t.account(ctx, k.name)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		if k.file == nil {
			return secret.Value{}, errors.New("the account has not signed in (" + graph.Authorize + ")")
		}
		k.from = time.Time{}
		return k.file.Load(ctx)
	}
	if err != nil {
		return secret.Value{}, err
	}
	plain, err := k.t.p.unseal(record.Sealed)
	if err != nil {
		return secret.Value{}, fault.Errorf(fault.Denied, "refresh token", "%w; restore vault.key, or let the account sign in again ("+graph.Authorize+")", err)
	}
	k.from = record.SignedIn
	return secret.NewValue(string(plain)), nil
}

// Save implements graph.RefreshStore. A token that descends from another sign-in than
// the last is let go: it would displace the newer one.
func (k *keptToken) Save(ctx context.Context, refresh secret.Value) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		record, revision, err := k.t.account(ctx, k.name)
		switch {
		case err != nil && fault.KindOf(err) == fault.NotFound && k.from.IsZero() && k.file != nil:
			return k.file.Save(ctx, refresh)
		case err != nil && fault.KindOf(err) == fault.NotFound:
			return nil // given up meanwhile
		case err != nil:
			return err
		case !record.SignedIn.Equal(k.from):
			return nil
		}
		if record.Sealed, err = k.t.p.seal([]byte(refresh.Reveal())); err != nil {
			return err
		}
		_, err = k.t.p.accounts.Set(ctx, subscription.LaneKey(k.t.conf.ID, k.name), record.encode(), revision)
		if err == nil || fault.KindOf(err) != fault.Conflict {
			return err
		}
		// Somebody signed in, or gave the account up: look again.
	}
}

// account reads an account's record, with its revision.
func (t *tenant) account(ctx context.Context, name string) (signedIn, uint64, error) {
	e, err := t.p.accounts.Get(ctx, subscription.LaneKey(t.conf.ID, name))
	if err != nil {
		return signedIn{}, 0, err
	}
	record, err := decodeSignedIn(e.Value)
	return record, e.Revision, err
}

// seal encrypts for this service alone: its replicas share the key file. It is read
// each time, about once an hour for each lane.
func (p *Poller) seal(plain []byte) ([]byte, error) {
	vault, err := p.vault()
	if err != nil {
		return nil, err
	}
	return vault.Seal(plain)
}

func (p *Poller) unseal(sealed []byte) ([]byte, error) {
	vault, err := p.vault()
	if err != nil {
		return nil, err
	}
	return vault.Open(sealed)
}

func (p *Poller) vault() (*secret.Vault, error) {
	if p.vaultFile == "" {
		return nil, errors.New("vault key: no file is named")
	}
	return secret.OpenVault(p.vaultFile)
}

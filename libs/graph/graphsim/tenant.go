package graphsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tenant is one simulated directory. Its methods are safe for concurrent use and
// do what the control interface does.
type Tenant struct {
	server *Server
	id     string // directory id, lower case
	domain string
	name   string
	seed   uint64
	apps   []*app

	mu       sync.RWMutex // guards everything below
	switches Switches
	accounts []*account
	devices  map[string]*deviceSignIn // by device code

	people  []*person // in order of creation, removed ones included
	byID    map[string]*person
	byLocal map[string]*person // local part of the UPN, lower case
	groups  map[string]*group  // by id
	log     []change           // what users/delta reports, oldest first
	changes uint64             // sequence of the newest change
	deltas  int                // generation of delta tokens; older ones are gone
	stamp   uint64             // newest presence sequence number

	ageing map[*person]time.Time // whose sessions age or expire next, and when
	wake   time.Time             // when agePresences is due, or zero
	writes PresenceWrites

	subscriptions map[string]*subscription
	watchers      map[string][]*subscription // presence subscriptions by user id
	ledger        ledger
	watchersOf    map[string][]*subscription // subscriptions to events, by user id
	soonest       time.Time                  // no subscription expires before; zero is not known
	violations    []Violation
	faults        []*activeFault
	nextFault     int
	random        *rand.Rand // the dice of faults
	quotas        map[string][]time.Time
	respites      map[string]respite     // by call.scope
	validation    map[string]cachedToken // validation tokens by app
}

// change says that a user was created, changed or removed.
type change struct {
	sequence uint64
	person   *person
}

// app is an App at work.
type app struct {
	App
	roles map[string]bool // guarded by Tenant.mu
}

// account is an Account at work.
type account struct {
	user    *person
	app     *app
	refresh string // the refresh token valid now
	scopes  []string

	issued   time.Time // when refresh was
	needsMFA bool      // a second factor is asked for, which only a person has
}

// ErrNotFound is returned for a user, group, account or fault that does not exist.
var ErrNotFound = errors.New("not found")

func newTenant(s *Server, c TenantConfig) (*Tenant, error) {
	t := &Tenant{
		server: s, id: strings.ToLower(c.DirectoryID), domain: c.Domain, name: c.Name, seed: s.config.Seed,
		switches: c.Switches.withDefaults(), devices: make(map[string]*deviceSignIn),
		people: make([]*person, 0, c.Users), byID: make(map[string]*person, c.Users),
		byLocal: make(map[string]*person, c.Users), groups: make(map[string]*group), subscriptions: make(map[string]*subscription),
		watchers: make(map[string][]*subscription), watchersOf: make(map[string][]*subscription), ledger: newLedger(), quotas: make(map[string][]time.Time),
		respites: make(map[string]respite),
		ageing:   make(map[*person]time.Time), writes: PresenceWrites{Users: make(map[string]PresenceTally)},
		validation: make(map[string]cachedToken), random: rand.New(rand.NewPCG(s.config.Seed, 0)),
	}
	set(&t.name, firstLabel(c.Domain))
	now := s.now()
	for i := range c.Users {
		_, _, local := nameOf(t.seed, i)
		t.insert(&person{index: i, id: userID(t.id, i), local: local, availability: "Available",
			activity: "Available", since: now, sequence: t.nextStamp(now)})
	}
	for _, a := range c.Apps {
		registered := &app{App: a, roles: make(map[string]bool)}
		registered.ClientID = strings.ToLower(a.ClientID)
		roles := a.Roles
		if roles == nil {
			roles = DefaultRoles()
		}
		for _, role := range roles {
			registered.roles[role] = true
		}
		t.apps = append(t.apps, registered)
	}
	for _, a := range c.Accounts {
		if err := t.AddAccount(a); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// DirectoryID returns the tenant's GUID in lower case.
func (t *Tenant) DirectoryID() string { return t.id }

// Domain returns the domain of the users' names.
func (t *Tenant) Domain() string { return t.domain }

// named says whether ref means this tenant: its directory id, its domain or the
// domain's first label.
func (t *Tenant) named(ref string) bool {
	return strings.EqualFold(ref, t.id) || strings.EqualFold(ref, t.domain) || strings.EqualFold(ref, firstLabel(t.domain))
}

// Switches returns the switches in force.
func (t *Tenant) Switches() Switches {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.switches
}

// Switch changes switches: edit gets the ones in force. Nothing changes if the
// result is not valid.
func (t *Tenant) Switch(edit func(*Switches)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.switches
	edit(&next)
	if err := next.validate(); err != nil {
		return err
	}
	t.switches = next.withDefaults()
	clear(t.validation)
	return nil
}

// Grant consents application permissions to an app, Revoke withdraws them. A
// withdrawn permission fails at once, also with a token that names it; a granted
// one needs a new token, as at Microsoft's.
func (t *Tenant) Grant(clientID string, roles ...string) error {
	return t.consent(clientID, true, roles)
}

// Revoke is the opposite of Grant.
func (t *Tenant) Revoke(clientID string, roles ...string) error {
	return t.consent(clientID, false, roles)
}

func (t *Tenant) consent(clientID string, granted bool, roles []string) error {
	a := t.app(clientID)
	if a == nil {
		return fmt.Errorf("app %s: %w", clientID, ErrNotFound)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, role := range roles {
		a.roles[role] = granted
	}
	return nil
}

// AddAccount adds a delegated account, or replaces the same user's for the same app.
func (t *Tenant) AddAccount(a Account) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	user := t.lookup(a.User)
	if user == nil {
		return fmt.Errorf("account %q: user %w", a.User, ErrNotFound)
	}
	registered := t.app(a.ClientID)
	if registered == nil {
		return fmt.Errorf("account %q: app %q %w", a.User, a.ClientID, ErrNotFound)
	}
	scopes := a.Scopes
	if scopes == nil {
		scopes = DefaultScopes()
	}
	t.sign(&account{user: user, app: registered, refresh: a.RefreshToken.Reveal(), scopes: scopes, issued: t.server.now()})
	return nil
}

// sign replaces the account of the same user and app. t.mu is held.
func (t *Tenant) sign(a *account) {
	t.accounts = slices.DeleteFunc(t.accounts, func(o *account) bool { return o.user == a.user && o.app == a.app })
	t.accounts = append(t.accounts, a)
}

// app returns an app by its client id, the first for "", or nil.
func (t *Tenant) app(clientID string) *app {
	for _, a := range t.apps {
		if clientID == "" || strings.EqualFold(a.ClientID, clientID) {
			return a
		}
	}
	return nil
}

// insert adds p to the directory and its change log. t.mu is held, or t is new.
func (t *Tenant) insert(p *person) {
	t.people = append(t.people, p)
	t.byID[p.id] = p
	t.byLocal[p.local] = p
}

// touch records that p changed and tells who subscribed to users. t.mu is held.
func (t *Tenant) touch(p *person) {
	t.changes++
	t.log = append(t.log, change{t.changes, p})
	t.notifyUser(p)
}

// lookup finds a user by id, UPN or local part, or returns nil. t.mu is held.
func (t *Tenant) lookup(ref string) *person {
	ref = strings.ToLower(ref)
	if p, ok := t.byID[ref]; ok {
		return p
	}
	local, domain, full := strings.Cut(ref, "@")
	if full && domain != strings.ToLower(t.domain) {
		return nil
	}
	return t.byLocal[local]
}

// nextStamp returns the next presence sequence number. It grows with the clock, so
// that numbers also grow over a restart of the simulator. t.mu is held, or t is new.
func (t *Tenant) nextStamp(now time.Time) uint64 {
	t.stamp = max(t.stamp+1, uint64(now.UnixNano()))
	return t.stamp
}

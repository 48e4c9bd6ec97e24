package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
)

// Ids of the simulated tenant. They are the same in every run, so that a
// configuration written once stays right.
const (
	DirectoryID = "5f0c3d52-7c1e-4b0a-9d7e-2f6a1c9e0b11"
	ClientID    = "a7d91c34-0b8f-4f0e-8a55-6d2b7e4f9c22"
	Domain      = "contoso.example"
	// TenantID is the tenant's id in ConfigYAML, and in the control interface.
	TenantID = "contoso"
)

// firstExtension is the number of the first user.
const firstExtension = 100

// Options of a simulator. Dir is needed, the rest has defaults.
type Options struct {
	Dir           string          // where the files for a configuration are written
	GraphListen   string          // "127.0.0.1:0"
	PBXListen     string          // "127.0.0.1:0"
	ControlListen string          // "127.0.0.1:0"
	Hosts         []string        // names by which other machines reach it, beside loopback
	WebhookHosts  []string        // names of the webhook receiver, for its certificate; nil: loopback
	Users         int             // 20
	Extensions    int             // how many of the users have one; 0: all
	Seed          uint64          // of the people's names
	System        identity.System // "hq"
	// Account is the user who has signed in for presence subscriptions: an id, UPN or
	// its local part. "": the first user. "-": nobody.
	Account string
	// Policy is users.policy of ConfigYAML; "": that of a configuration that says nothing.
	Policy string
}

// Simulator is a running simulator. Its fields do not change.
type Simulator struct {
	Graph *graphsim.Server
	PBX   *pbxsim.Sim

	Control string // base URL of the control interface: OFFHOOK_SIM
	Dir     string // where the files are, under the names of the constants
	System  identity.System

	account bool         // somebody has signed in
	policy  string       // Options.Policy
	control *http.Server // serves Control
	served  chan error   // what it ended with
}

// Start starts a simulator that runs until Close, or until ctx ends.
func Start(ctx context.Context, o Options) (_ *Simulator, err error) {
	o = o.withDefaults()
	var started []func() error
	defer func() {
		if err != nil {
			for _, stop := range slices.Backward(started) {
				_ = stop()
			}
		}
	}()
	kit, err := newKit(o)
	if err != nil {
		return nil, err
	}
	s := &Simulator{Dir: o.Dir, System: o.System, account: o.Account != noAccount, policy: o.Policy, served: make(chan error, 1)}
	if s.Graph, err = graphsim.Start(ctx, graphConfig(o, kit)); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	started = append(started, s.Graph.Close)
	tenant := s.Graph.Tenants()[0]
	if s.account {
		account := cmp.Or(o.Account, tenant.UserIDs()[0])
		if err := tenant.AddAccount(graphsim.Account{User: account, RefreshToken: kit.refresh}); err != nil {
			return nil, fmt.Errorf("simulator: account: %w", err)
		}
	}
	if s.PBX, err = pbxsim.Start(pbxsim.Config{
		Listen: o.PBXListen, Authority: kit.authority, Hosts: o.Hosts, System: o.System, Seed: o.Seed,
		FirstNumber: firstExtension, People: people(tenant, o.Extensions), ClientSecret: kit.pbxSecret,
	}); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	started = append(started, func() error { s.PBX.Close(); return nil })
	if err := kit.write(o); err != nil {
		return nil, err
	}
	if err := s.serveControl(o); err != nil {
		return nil, err
	}
	return s, nil
}

const noAccount = "-"

func (o Options) withDefaults() Options {
	o.GraphListen = cmp.Or(o.GraphListen, "127.0.0.1:0")
	o.PBXListen = cmp.Or(o.PBXListen, "127.0.0.1:0")
	o.ControlListen = cmp.Or(o.ControlListen, "127.0.0.1:0")
	o.Users = cmp.Or(o.Users, 20)
	o.Extensions = cmp.Or(o.Extensions, o.Users)
	o.System = cmp.Or(o.System, "hq")
	if o.WebhookHosts == nil {
		o.WebhookHosts = loopback()
	}
	return o
}

func loopback() []string { return []string{"localhost", "127.0.0.1", "::1"} }

func graphConfig(o Options, k kit) graphsim.Config {
	return graphsim.Config{
		Listen: o.GraphListen, Hosts: append(slices.Clone(o.Hosts), loopback()...), Authority: k.authority, Seed: o.Seed,
		Tenants: []graphsim.TenantConfig{{
			DirectoryID: DirectoryID, Domain: Domain, Name: "Contoso", Users: o.Users,
			Apps: []graphsim.App{{ClientID: ClientID, Certificates: k.certificates(), PublicClient: true,
				Roles: append(graphsim.DefaultRoles(), "Presence.ReadWrite.All")}},
		}},
	}
}

// people are the owners of the extensions: the tenant's first users.
func people(t *graphsim.Tenant, limit int) []pbxsim.Person {
	var all []pbxsim.Person
	for _, u := range t.Users("", limit) {
		all = append(all, pbxsim.Person{FirstName: u.GivenName, LastName: u.Surname, Mail: u.Mail})
	}
	return all
}

// Close ends everything and waits for it. The files stay.
func (s *Simulator) Close() error {
	err := s.closeControl()
	s.PBX.Close()
	return errors.Join(err, s.Graph.Close())
}

func (s *Simulator) closeControl() error {
	err := s.control.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.served <- http.ErrServerClosed // closing twice is harmless
	return err
}

// Run starts a simulator, calls ready, and runs until ctx ends.
func Run(ctx context.Context, o Options, ready func(*Simulator)) error {
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	ready(s)
	<-ctx.Done()
	return s.Close()
}

// certificateLife is how long the simulated app's certificate is valid.
const certificateLife = 365 * 24 * time.Hour

// Authority returns who issued the certificates of the simulator.
func (s *Simulator) Authority() *secret.Authority { return s.Graph.Authority() }

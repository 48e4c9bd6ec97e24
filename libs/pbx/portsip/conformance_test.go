package portsip

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

// authority issues the simulators' certificates. It never changes.
var authority = func() *secret.Authority {
	a, err := secret.NewAuthority("portsip tests", time.Now())
	if err != nil {
		panic(err)
	}
	return a
}()

// users is more than a page, so that listings have a seam.
const users = pageSize + 5

// start runs a simulated PortSIP PBX; Authority and Extensions are filled in.
func start(t testing.TB, config portsipsim.Config) *portsipsim.Sim {
	t.Helper()
	config.Authority, config.Extensions = authority, cmp.Or(config.Extensions, users)
	sim, err := portsipsim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// configFor is the configuration of a driver for sim, with the accounts of some users, and without
// a rate: tests are about other things.
func configFor(sim *portsipsim.Sim, owners ...identity.Extension) Config {
	username, password, domain := sim.Credentials()
	c := Config{URL: sim.URL(), Domain: domain, Admin: Account{username, password}, Authorities: authority.Pool(), Accounts: map[identity.Extension]Account{}, PerSecond: math.MaxFloat64}
	for _, ext := range owners {
		login, password := sim.CredentialsOf(ext)
		c.Accounts[ext] = Account{login, password}
	}
	return c
}

// open connects a driver to sim.
func open(t testing.TB, config Config) *Driver {
	t.Helper()
	d, err := connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// variant is a phone system and a way to use it.
type variant struct {
	sim    portsipsim.Config
	driver Config // what is not from the simulator
	own    bool   // the accounts of all users are known
	books  bool   // the accounts of those are known whose phonebooks the suite writes

	hook  *portsipsim.Webhook // events come by webhook: how, but for the URL
	fault portsipsim.EventFaultKind
}

// soon are the waits of a phone system that sends an event again.
var soon = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second}

// byToken is how events are sent with a bearer token, and byPassword with a password.
var (
	byToken    = portsipsim.Webhook{Auth: "BEARER", Token: secret.NewValue("a-token-of-the-webhook")}
	byPassword = portsipsim.Webhook{Auth: "BASIC", Username: "offhook", Password: secret.NewValue("thepasswordofevents")}
)

// hookFor has events of sim sent to the webhook that it returns, from the moment at which
// that listens, as to says. With authorities it listens with a certificate.
func hookFor(t testing.TB, sim *portsipsim.Sim, to portsipsim.Webhook) Webhook {
	hook, scheme := Webhook{Listen: "127.0.0.1:0", Username: to.Username, Secret: to.Token}, "http://"
	if to.Username != "" {
		hook.Secret = to.Password
	}
	if to.Authorities != nil {
		certificate, err := authority.Issue("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		hook.Certificate, scheme = &certificate, "https://"
	}
	hook.OnListening = func(address string) {
		to.URL = scheme + address + "/events"
		sim.SetWebhook(t.Context(), to)
	}
	return hook
}

// variants are those in which one write is one request.
var variants = map[string]variant{
	"22.2, lists can be filtered":            {sim: portsipsim.Config{FilterDND: true}},
	"22.2, lists tell the switch":            {sim: portsipsim.Config{ListsDND: true, Nulls: true}, books: true},
	"22.3, each user is asked":               {sim: portsipsim.Config{Minor: 3, Linked: true, Absent: 400}},
	"22.6, a filter is refused":              {sim: portsipsim.Config{Minor: 6, Strict: true, Newest: true, Refusal: 409}},
	"22.6, presences":                        {sim: portsipsim.Config{Minor: 6, Linked: true, NoAck: true}, driver: Config{Statuses: ByPresence}},
	"22.2, the users themselves":             {driver: Config{Statuses: ByOwn, Note: "In a Teams call"}, own: true},
	"22.3, the users themselves, one thing":  {sim: portsipsim.Config{Minor: 3, Linked: true, RefreshOnce: true}, driver: Config{Statuses: ByOwn}, own: true},
	"22.6, the users themselves":             {sim: portsipsim.Config{Minor: 6, NoAck: true}, driver: Config{Statuses: ByOwn}, own: true},
	"a switch that is no event":              {sim: portsipsim.Config{FilterDND: true, Quiet: true}, driver: Config{Beat: 50 * time.Millisecond}},
	"skip counts from one, refused with 403": {sim: portsipsim.Config{FilterDND: true, FromOne: true, Refusal: 403}, books: true},
	"webhook":                                {sim: portsipsim.Config{FilterDND: true}, hook: &byToken},
	"webhook, each user is asked":            {sim: portsipsim.Config{Minor: 3, Linked: true}, driver: Config{Statuses: ByPresence}, hook: &byPassword, fault: portsipsim.Twice},
	"webhook, the users themselves":          {driver: Config{Statuses: ByOwn}, own: true, hook: &byToken, fault: portsipsim.WrongCredential},
	"webhook, every event is lost":           {sim: portsipsim.Config{ListsDND: true, Quiet: true}, hook: &byToken, fault: portsipsim.Lost},
}

func TestConformance(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			v.driver.Partial = true
			pbxtest.Run(t, func() pbxtest.Harness { return newHarness(t, v) })
		})
	}
}

// Where a change replaces the whole user, a write is a read and a write: that is the
// one thing in which the driver differs from what the suite asks for. As the users
// themselves it is one request all the same.
func TestAWholeChangeIsTwoRequestsAndConformsOtherwise(t *testing.T) {
	for name, v := range map[string]variant{
		"what is not named is lost": {sim: portsipsim.Config{Replace: true, FilterDND: true, Minor: 3, Retrieval: true, Nulls: true}},
		"what is not named is kept": {sim: portsipsim.Config{FilterDND: true}, books: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			failed := pbxtest.Check(ctx, func() pbxtest.Harness { return newHarness(t, v) })
			if len(failed) != 1 || failed["one call is one request"] != "a write was 2 requests" {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}

type harness struct {
	*portsipsim.Sim
	driver  pbx.Driver
	way     Statuses
	hooked  bool // events come by webhook
	partial bool // a change sends only what is new
	given   int  // how many free numbers
}

func newHarness(t *testing.T, v variant) *harness {
	v.sim.Authority, v.sim.Extensions, v.sim.Retries = authority, users, soon
	sim, err := portsipsim.Start(v.sim)
	if err != nil {
		t.Fatal(err)
	}
	var owners []identity.Extension
	switch {
	case v.own:
		owners = sim.Numbers()
	case v.books:
		owners = []identity.Extension{"200", "201", "203"}
	}
	config := configFor(sim, owners...)
	config.Statuses, config.Note, config.Partial, config.Beat = v.driver.Statuses, v.driver.Note, v.driver.Partial, v.driver.Beat
	config.Settle = 100 * time.Millisecond
	if v.hook != nil {
		config.Events, config.Webhook, config.Beat = ByWebhook, hookFor(t, sim, *v.hook), 200*time.Millisecond
	}
	if v.fault != "" {
		sim.InjectEvent(portsipsim.EventFault{Kind: v.fault})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d, err := Open(ctx, config)
	if err != nil {
		sim.Close()
		t.Fatal(err)
	}
	return &harness{Sim: sim, driver: d, way: cmp.Or(config.Statuses, ByDND), hooked: v.hook != nil, partial: config.Partial}
}

func (h *harness) Driver() pbx.Driver         { return h.driver }
func (h *harness) Absent() identity.Extension { return "999" }
func (h *harness) Requests() int              { return h.Stats().Requests }

// Costs: an extension is a user and a place in the group of those who sign in with Microsoft;
// before a change the user is read, for what it says of groups and marker; a picture is an
// upload in three parts and a change of the user.
func (h *harness) Costs() map[pbxtest.Call]int {
	costs := map[pbxtest.Call]int{pbxtest.ReadExtension: 2, pbxtest.ChangeExtension: 2, pbxtest.SetPhoto: 4}
	if !h.partial {
		costs[pbxtest.SetPhoto]++ // the user is read before
	}
	return costs
}

func (h *harness) Extensions() []identity.Extension {
	var numbers []identity.Extension
	for i := range users {
		numbers = append(numbers, identity.Extension(strconv.Itoa(200+i)))
	}
	return numbers
}

func (h *harness) Shown(ext identity.Extension) presence.Status {
	if h.DND(ext) {
		return presence.DND
	}
	if h.way == ByDND {
		return presence.Available
	}
	status, _ := h.Presence(ext)
	return status
}

// Choose turns the switch, which is what a person does who wants no calls, or chooses
// one of the others.
func (h *harness) Choose(ext identity.Extension, s presence.Status) {
	h.Switch(ext, s == presence.DND)
	if h.way != ByDND && s != presence.DND {
		h.Sim.Choose(ext, s)
	}
}

func (h *harness) StartCall(ext identity.Extension) { h.Sim.StartCall(ext) }
func (h *harness) EndCall(ext identity.Extension)   { h.EndCalls(ext) }

// Cut ends the websockets. A watch by webhook has no connection of its own: to it the phone
// system is gone when it cannot be read.
func (h *harness) Cut() {
	if h.hooked {
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Unavailable, Only: "read", Times: 1})
	}
	h.CutWatches()
}

// Free numbers are far from the others.
func (h *harness) Free(n int) []identity.Extension {
	var free []identity.Extension
	for range n {
		h.given++
		free = append(free, identity.Extension(strconv.Itoa(5000+h.given)))
	}
	return free
}

func (h *harness) Listed(ext identity.Extension) (directory.Extension, bool) {
	fields := h.Fields(ext)
	if fields == nil {
		return directory.Extension{}, false
	}
	text := func(name string) string { text, _ := fields[name].(string); return text }
	e := directory.Extension{Number: ext, Enabled: fields["enabled"] == true, Fields: directory.Fields{
		Mail: text("email"), Mobile: text("mobile_phone"), SignIn: h.Bound(ext) != ""}}
	if name := text("display_name"); name != string(ext) {
		first, last, parted := strings.Cut(name, "\u00a0")
		if !parted {
			first, last, parted = strings.Cut(name, " ")
		}
		if e.FirstName, e.LastName = first, last; !parted {
			e.FirstName, e.LastName = "", name
		}
	}
	if name := text("department"); slices.Contains(h.GroupsOf(ext), name) {
		e.Department = name
	}
	var own map[string]any
	if json.Unmarshal([]byte(text("custom_options")), &own) == nil {
		marker, _ := own["offhook_user"].(string)
		e.Marker = identity.User(marker)
	}
	return e, true
}

func (h *harness) Edit(ext identity.Extension, edit func(*directory.Extension)) {
	e, _ := h.Listed(ext)
	edit(&e)
	h.SetField(ext, "email", e.Mail)
	h.SetField(ext, "mobile_phone", e.Mobile)
	h.SetField(ext, "enabled", e.Enabled)
}

func (h *harness) Remove(ext identity.Extension) { h.Sim.Remove(ext) }
func (h *harness) Keep(ext identity.Extension)   { h.Sim.Keep(ext) }
func (h *harness) Room(n int)                    { h.SetLicence(len(h.Numbers()) + n) }

// fieldsOf are the members that hold what an entry has, by the vendor's names.
var fieldsOf = map[directory.NumberKind]string{directory.MobileNumber: "mobile_phone", directory.Mobile2Number: "mobile_phone2",
	directory.BusinessNumber: "business", directory.Business2Number: "business2", directory.HomeNumber: "home_phone",
	directory.Home2Number: "home_phone2", directory.OtherNumber: "other", directory.FaxNumber: "business_fax"}

func (h *harness) Book(owner identity.Extension) []directory.Contact {
	var all []directory.Contact
	for _, e := range h.Sim.Book(owner) {
		c := directory.Contact{ID: e.ID, Company: e.Texts["company"], Title: e.Texts["title"], Mail: e.Texts["email"]}
		head, ours, _ := strings.Cut(e.Texts["notes"], "offhook:")
		c.Department = strings.TrimPrefix(head, "Department: ")
		c.Department = strings.TrimSuffix(c.Department, "\n")
		c.Department = strings.TrimSuffix(c.Department, "\nplays golf")
		source, split, _ := strings.Cut(ours, ":")
		c.Source = source
		name := []rune(e.Texts["name"])
		at := slices.Index(name, ' ')
		if c.Source != "" {
			at, _ = strconv.Atoi(split)
		}
		switch {
		case c.Source != "" && split == "":
		case at <= 0:
			c.LastName = string(name)
		case at == len(name):
			c.FirstName = string(name)
		default:
			c.FirstName, c.LastName = string(name[:at]), string(name[at+1:])
		}
		for _, kind := range directory.NumberKinds() {
			if text := e.Texts[fieldsOf[kind]]; text != "" {
				c.Numbers = append(c.Numbers, directory.Number{Kind: kind, Text: text})
			}
		}
		all = append(all, c)
	}
	return all
}

func (h *harness) Enter(owner identity.Extension, c directory.Contact) string {
	texts := map[string]string{"name": strings.TrimSpace(c.FirstName + " " + c.LastName), "company": c.Company, "title": c.Title, "email": c.Mail}
	if c.Department != "" {
		texts["notes"] = "Department: " + c.Department + "\nplays golf"
	}
	for _, n := range c.Numbers {
		texts[fieldsOf[n.Kind]] = n.Text
	}
	return h.Sim.Enter(owner, maps.Clone(texts))
}

func (h *harness) Inject(f pbxtest.Fault) {
	h.ClearFaults()
	switch f {
	case pbxtest.None:
	case pbxtest.Throttle:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Throttle, Delay: pbxtest.ThrottleDelay})
	case pbxtest.Deny:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Deny})
	case pbxtest.Down:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Unavailable})
	case pbxtest.Garbage:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Garbage, Only: "read"})
	case pbxtest.Hang:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.Hang})
	case pbxtest.LostAnswer:
		h.Sim.Inject(portsipsim.Fault{Kind: portsipsim.LostAnswer, Only: "write"})
	default:
		panic(fmt.Sprintf("no such fault: %q", f))
	}
}

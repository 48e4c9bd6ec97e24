package msgraph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
)

// lawful fails the test if the client did what Graph's clients must not do.
func (s simulated) lawful(t testing.TB) {
	t.Helper()
	for _, v := range s.tenant.Violations() {
		t.Errorf("%+v", v)
	}
}

// follow reads pages to the end.
func follow(t testing.TB, read func(at graph.Cursor) (graph.ContactPage, error), at graph.Cursor) (all graph.ContactPage, pages int) {
	t.Helper()
	for {
		page, err := read(at)
		if err != nil || page.Reset {
			t.Fatalf("page %d: %+v, %v", pages, page, err)
		}
		pages++
		all.Contacts, all.Removed, all.Dropped = append(all.Contacts, page.Contacts...), append(all.Removed, page.Removed...), all.Dropped+page.Dropped
		if page.Next == "" {
			all.Delta = page.Delta
			return all, pages
		}
		at = page.Next
	}
}

func (s simulated) changes(t testing.TB, user identity.User, folder string) func(graph.Cursor) (graph.ContactPage, error) {
	return func(at graph.Cursor) (graph.ContactPage, error) {
		return s.client.ContactChanges(t.Context(), user, folder, at)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContactsAreFollowedByIDsThatStay(t *testing.T) {
	sim := simulate(t, 2)
	user := sim.ids(t)[0]
	_, err := sim.tenant.AddContactFolder(string(user), "Customers", "")
	must(t, err)
	if folder, err := sim.client.DefaultContacts(t.Context(), user); err != nil || folder != "" {
		t.Errorf("where nothing is: %q, %v", folder, err)
	}
	must(t, sim.tenant.FillContacts(string(user), 450))
	ada, err := sim.tenant.AddContact(string(user), graphsim.Contact{GivenName: "Ada", Surname: "Lovelace", DisplayName: "Countess", CompanyName: "Engines", JobTitle: "Analyst",
		Department: "Numbers", BusinessPhones: []string{"+44 1", "+44 2"}, HomePhones: []string{"+44 3"}, MobilePhone: "+44 4", Mails: []string{"ada@engines.example", "a@l.example"}})
	must(t, err)
	folder, err := sim.client.DefaultContacts(t.Context(), user)
	must(t, err)
	read := sim.changes(t, user, folder)
	all, pages := follow(t, read, "")
	if len(all.Contacts) != 451 || pages != 3 || all.Dropped != 0 {
		t.Fatalf("%d contacts on %d pages", len(all.Contacts), pages)
	}
	want := graph.Contact{ID: ada.ID, GivenName: "Ada", Surname: "Lovelace", DisplayName: "Countess", Company: "Engines", Title: "Analyst", Department: "Numbers",
		Mail: "ada@engines.example", Business: []string{"+44 1", "+44 2"}, Home: []string{"+44 3"}, Mobile: "+44 4"}
	if got := all.Contacts[450]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	must(t, sim.tenant.DeleteContact(string(user), "1"))
	must(t, sim.tenant.EditContact(string(user), "2", func(c *graphsim.Contact) { c.Surname = "Neu" }))
	must(t, sim.tenant.MoveContact(string(user), ada.ID, "Customers"))
	news, _ := follow(t, read, all.Delta)
	if len(news.Contacts) != 1 || news.Contacts[0].Surname != "Neu" || len(news.Removed) != 2 || !slices.Contains(news.Removed, ada.ID) {
		t.Errorf("%+v", news)
	}
	folders, err := sim.client.ContactFolders(t.Context(), user)
	must(t, err)
	moved, _ := follow(t, sim.changes(t, user, folders[0].ID), "")
	if len(moved.Contacts) != 1 || moved.Contacts[0].ID != ada.ID {
		t.Errorf("in the other folder: %+v", moved.Contacts)
	}
	sim.lawful(t)
}

func TestFoldersOfContactsAreFoundAtEveryDepth(t *testing.T) {
	for _, listed := range []bool{false, true} {
		sim := simulateAs(t, 1, func(c *graphsim.Config) { c.Tenants[0].Switches.DefaultFolderListed = listed })
		user := sim.ids(t)[0]
		parent, ids := "", map[string]string{}
		for i := range 5 {
			name := fmt.Sprint("depth ", i)
			id, err := sim.tenant.AddContactFolder(string(user), name, parent)
			must(t, err)
			parent, ids[id] = name, name
		}
		for i := range 120 {
			id, err := sim.tenant.AddContactFolder(string(user), fmt.Sprint("beside ", i), "")
			must(t, err)
			ids[id] = fmt.Sprint("beside ", i)
		}
		folders, err := sim.client.ContactFolders(t.Context(), user)
		must(t, err)
		found := 0
		for _, f := range folders {
			if ids[f.ID] == f.Name && f.Name != "" && f.Parent != "" {
				found++
			}
		}
		if found != len(ids) {
			t.Errorf("default folder listed %v: %d of %d folders", listed, found, len(ids))
		}
		for i := range graph.MaxContactFolders {
			_, err := sim.tenant.AddContactFolder(string(user), fmt.Sprint("more ", i), "")
			must(t, err)
		}
		if _, err := sim.client.ContactFolders(t.Context(), user); fault.KindOf(err) != fault.Unsupported {
			t.Errorf("too many: %v", err)
		}
		sim.lawful(t)
	}
}

func TestALostCursorOfContactsIsAValue(t *testing.T) {
	for name, switches := range map[string]graphsim.Switches{
		"410": {}, "410 with a Location": {GoneLocation: true}, "another status with the code": {GoneStatus: 400},
	} {
		sim := simulateAs(t, 1, func(c *graphsim.Config) { c.Tenants[0].Switches = switches })
		user := sim.ids(t)[0]
		must(t, sim.tenant.FillContacts(string(user), 3))
		folder, err := sim.client.DefaultContacts(t.Context(), user)
		must(t, err)
		all, _ := follow(t, sim.changes(t, user, folder), "")
		sim.tenant.ExpireDeltas()
		if page, err := sim.client.ContactChanges(t.Context(), user, folder, all.Delta); err != nil || !page.Reset || len(page.Contacts)+len(page.Removed) != 0 || page.Next != "" || page.Delta != "" {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
		for _, link := range []string{"https://elsewhere.example/v1.0/users/delta?$deltatoken=x", "http://" + strings.TrimPrefix(string(all.Delta), "https://"), "%zz"} {
			if _, err := sim.client.ContactChanges(t.Context(), user, folder, graph.Cursor(link)); fault.KindOf(err) != fault.Invalid {
				t.Errorf("a link to elsewhere: %v", err)
			}
		}
	}
}

func TestWhereACloudHasNoChangesOfContactsTheyAreListed(t *testing.T) {
	sim := simulateAs(t, 1, func(c *graphsim.Config) { c.Tenants[0].Switches.Cloud = "china" })
	china, err := graph.CloudNamed("china")
	must(t, err)
	if china, err = china.At(sim.server.LoginURL(), sim.server.GraphURL()); err != nil {
		t.Fatal(err)
	}
	user := sim.ids(t)[0]
	must(t, sim.tenant.FillContacts(string(user), 410))
	folder, err := sim.client.DefaultContacts(t.Context(), user)
	must(t, err)
	client := sim.clientAs(t, func(c *msgraph.Config) { c.Cloud = china })
	if _, err := client.ContactChanges(t.Context(), user, folder, ""); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("%v", err)
	}
	all, pages := follow(t, func(at graph.Cursor) (graph.ContactPage, error) {
		return client.ContactList(t.Context(), user, folder, at)
	}, "")
	keys, keyPages := follow(t, func(at graph.Cursor) (graph.ContactPage, error) {
		return client.ContactKeys(t.Context(), user, folder, at)
	}, "")
	if len(all.Contacts) != 410 || pages != 3 || len(keys.Contacts) != 410 || keyPages != 1 {
		t.Errorf("%d contacts on %d pages, keys of %d on %d", len(all.Contacts), pages, len(keys.Contacts), keyPages)
	}
	if all.Contacts[0].ID != keys.Contacts[0].ID || all.Contacts[0].ChangeKey != keys.Contacts[0].ChangeKey || all.Contacts[0].ChangeKey == "" || keys.Contacts[0].GivenName != "" {
		t.Errorf("%+v, %+v", all.Contacts[0], keys.Contacts[0])
	}
	must(t, sim.tenant.EditContact(string(user), "1", func(c *graphsim.Contact) { c.Surname = "Neu" }))
	again, _ := follow(t, func(at graph.Cursor) (graph.ContactPage, error) {
		return client.ContactKeys(t.Context(), user, folder, at)
	}, "")
	if again.Contacts[0].ChangeKey == keys.Contacts[0].ChangeKey || again.Contacts[1].ChangeKey != keys.Contacts[1].ChangeKey {
		t.Error("the change key does not tell which one changed")
	}
	sim.lawful(t)
}

func TestABadContactCostsItselfAlone(t *testing.T) {
	sim := simulate(t, 1)
	user := sim.ids(t)[0]
	must(t, sim.tenant.FillContacts(string(user), 4))
	spoil := func(number, property, value string) {
		must(t, sim.tenant.SpoilContact(string(user), number, map[string]json.RawMessage{property: json.RawMessage(value)}))
	}
	spoil("1", "id", `null`)
	spoil("2", "businessPhones", `{"x":1}`)
	spoil("3", "id", `7`)
	folder, err := sim.client.DefaultContacts(t.Context(), user)
	must(t, err)
	all, _ := follow(t, sim.changes(t, user, folder), "")
	truth, err := sim.tenant.Contacts(string(user))
	must(t, err)
	if all.Dropped != 2 || len(all.Contacts) != 2 || all.Contacts[0].ID != truth[1].ID || all.Contacts[0].Surname != truth[1].Surname || len(all.Contacts[0].Business) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestAMailboxWithoutContactsToReadSaysWhy(t *testing.T) {
	sim := simulate(t, 4)
	users := sim.ids(t)
	for _, user := range users {
		must(t, sim.tenant.FillContacts(string(user), 1))
	}
	folder, err := sim.client.DefaultContacts(t.Context(), users[0])
	must(t, err)
	must(t, sim.tenant.EditMailbox(string(users[1]), func(m *graphsim.Mailbox) { m.Missing = true }))
	must(t, sim.tenant.EditMailbox(string(users[2]), func(m *graphsim.Mailbox) { m.Denied = true }))
	must(t, sim.tenant.DeleteUser(string(users[3]), true))
	_, err = sim.tenant.Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, User: string(users[0]), Count: 1})
	must(t, err)
	for name, c := range map[string]struct {
		user identity.User
		want fault.Kind
	}{
		"an answer that ends in garbage": {users[0], fault.Unknown}, "no mailbox": {users[1], fault.NotFound}, "a mailbox that is closed": {users[2], fault.Denied},
		"nobody": {users[3], fault.NotFound}, "no id": {"anna", fault.Invalid},
	} {
		_, err := sim.client.DefaultContacts(t.Context(), c.user)
		if fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "OData") {
			t.Errorf("%s: the error has Outlook's message: %v", name, err)
		}
	}
	if _, err := sim.client.ContactChanges(t.Context(), users[0], "gone", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no such folder: %v", err)
	}
	if _, err := sim.client.ContactChanges(t.Context(), users[0], folder, ""); err != nil {
		t.Errorf("control: %v", err)
	}
}

// Twenty callers of one mailbox share what Outlook grants in it, and one pause of it
// holds up nobody else.
func TestReadersOfContactsKeepEveryMailboxWithinItsLimits(t *testing.T) {
	sim := simulate(t, 2)
	users := sim.ids(t)
	for _, user := range users {
		must(t, sim.tenant.FillContacts(string(user), 5))
	}
	_, err := sim.tenant.Fault(graphsim.Fault{Kind: graphsim.FaultLatency, Path: "/contacts", Delay: 20_000_000, Count: 40})
	must(t, err)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if folder, err := sim.client.DefaultContacts(t.Context(), users[0]); err != nil || folder == "" {
				t.Errorf("%q, %v", folder, err)
			}
		})
	}
	callers.Wait()
	_, err = sim.tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, User: string(users[0]), RetryAfter: "600"})
	must(t, err)
	if _, err := sim.client.DefaultContacts(t.Context(), users[0]); fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) < 500_000_000_000 {
		t.Errorf("%v after %v", err, fault.RetryAfter(err))
	}
	// It is remembered, and nobody waits for it.
	if _, err := sim.client.DefaultContacts(t.Context(), users[0]); fault.KindOf(err) != fault.Throttled {
		t.Errorf("once more: %v", err)
	}
	for answer := range sim.client.MailboxZones(t.Context(), users[:1]) {
		if fault.KindOf(answer.Err) != fault.Throttled {
			t.Errorf("another verb: %v", answer.Err)
		}
	}
	if _, err := sim.client.DefaultContacts(t.Context(), users[1]); err != nil {
		t.Errorf("the other mailbox: %v", err)
	}
	if n := sim.server.Requests().Of(http.MethodGet, "/v1.0/users/{user}/contacts", http.StatusTooManyRequests); n != 1 {
		t.Errorf("%d requests were refused, want the one that was told to wait", n)
	}
	sim.lawful(t)
}

func TestNothingOfAContactIsAskedForThatIsNotNeeded(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, `{"responses":[{"id":"0","status":200,"body":{"value":[],"@odata.deltaLink":"https://`+r.Host+`/v1.0/users/x/delta?$deltatoken=y"}}]}`)
	})
	client := host.client(t, nil)
	page, err := client.ContactChanges(t.Context(), anna, "AA=", "")
	must(t, err)
	_, err = client.ContactChanges(t.Context(), anna, "AA=", page.Delta)
	must(t, err)
	_, err = client.ContactKeys(t.Context(), anna, "AA=", "")
	must(t, err)
	for i, request := range host.seen() {
		if !strings.Contains(request.body, `IdType=\"ImmutableId\"`) {
			t.Errorf("request %d asks for other ids: %s", i, request.body)
		}
		for _, word := range []string{"personalNotes", "birthday", "Address", "spouse", "children", "expand"} {
			if strings.Contains(strings.ReplaceAll(request.body, "emailAddresses", ""), word) {
				t.Errorf("request %d asks for %s: %s", i, word, request.body)
			}
		}
	}
	if first, link := host.seen()[0].body, host.seen()[1].body; !strings.Contains(first, "$select=id,") || !strings.Contains(first, "odata.maxpagesize=") || strings.Contains(link, "$select") || !strings.Contains(link, "/users/x/delta?$deltatoken=y") {
		t.Errorf("%s\n%s", first, link)
	}
}

func TestMailboxesSayWhatTheyAreFor(t *testing.T) {
	sim := simulate(t, 25)
	users := sim.ids(t)
	must(t, sim.tenant.EditMailbox(string(users[0]), func(m *graphsim.Mailbox) { m.Purpose = "shared" }))
	must(t, sim.tenant.EditMailbox(string(users[1]), func(m *graphsim.Mailbox) { m.Missing = true }))
	answers := map[identity.User]graph.PurposeAnswer{}
	for a := range sim.client.MailboxPurposes(t.Context(), append(slices.Clone(users), "nobody")) {
		answers[a.User] = a
	}
	if len(answers) != 26 || answers[users[0]].Purpose != "shared" || answers[users[2]].Purpose != "user" || fault.KindOf(answers[users[1]].Err) != fault.NotFound || fault.KindOf(answers["nobody"].Err) != fault.Invalid {
		t.Errorf("%+v", answers)
	}
	if n := sim.server.Requests().Of(http.MethodPost, "/v1.0/$batch", 0); n != 2 {
		t.Errorf("%d batches", n)
	}
	sim.lawful(t)
}

package graphsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/graph/graphsim"
)

// outlook calls Graph about contacts with a Prefer header.
func (s *sim) outlook(path, token, prefer string) reply {
	s.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = s.GraphURL() + "/v1.0" + path
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, path, nil)
	check(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	if prefer != "" {
		r.Header.Set("Prefer", prefer)
	}
	return s.send(r)
}

const immutable = `IdType="ImmutableId"`

// contactRound follows a delta of contacts to its end: who is there, who was removed, by
// id, the pages, and the deltaLink.
func (s *sim) contactRound(token, link, prefer string) (there map[string]map[string]any, removed []string, pages int, next string) {
	s.t.Helper()
	there = map[string]map[string]any{}
	for {
		got := s.outlook(link, token, prefer)
		if got.status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", link, got.status, got.message())
		}
		pages++
		for _, item := range got.values() {
			id := fmt.Sprint(item["id"])
			if item["@removed"] != nil {
				removed = append(removed, id)
				continue
			}
			there[id] = item
		}
		more, end := got.text("@odata.nextLink"), got.text("@odata.deltaLink")
		if (more == "") == (end == "") {
			s.t.Fatalf("page with nextLink %q and deltaLink %q", more, end)
		}
		if end != "" {
			return there, removed, pages, end
		}
		link = more
	}
}

func (s *sim) contact(user string, c graphsim.Contact) graphsim.Contact {
	s.t.Helper()
	made, err := s.contoso().AddContact(user, c)
	check(s.t, err)
	return made
}

// folderID is the id of a folder of a user's.
func (s *sim) folderID(user, name string) string {
	s.t.Helper()
	all, err := s.contoso().ContactFolders(user)
	check(s.t, err)
	return all[slices.IndexFunc(all, func(f graphsim.ContactFolder) bool { return f.Name == name })].ID
}

func TestContactsAreThoseOfTheDefaultFolder(t *testing.T) {
	s := start(t, nil)
	token, anna := s.appToken(contoso), s.id("anna")
	customers, err := s.contoso().AddContactFolder("anna", "Customers", "")
	check(t, err)
	_, err = s.contoso().AddContactFolder("anna", "EU", "Customers")
	check(t, err)
	check(t, s.contoso().FillContacts("anna", 12))
	ada := s.contact("anna", graphsim.Contact{GivenName: "Ada", Surname: "Lovelace", BusinessPhones: []string{"1", "2"}, Mails: []string{"ada@engines.example"}, Folder: "Customers"})

	first := s.outlook("/users/"+anna+"/contacts?$select=givenName,businessPhones,parentFolderId", token, immutable)
	if len(first.values()) != 10 || first.text("@odata.nextLink") == "" {
		t.Fatalf("%d contacts, next %q", len(first.values()), first.text("@odata.nextLink"))
	}
	second := s.outlook(first.text("@odata.nextLink"), token, immutable)
	if len(second.values()) != 2 || second.text("@odata.nextLink") != "" {
		t.Errorf("%d contacts, next %q", len(second.values()), second.text("@odata.nextLink"))
	}
	one := first.values()[0]
	if len(one) != 5 || one["parentFolderId"] != s.folderID("anna", "Contacts") || one["@odata.etag"] == "" {
		t.Errorf("$select is not kept: %v", one)
	}
	// Below the default folder, and there only (microsoft-graph-docs-contrib#6327).
	folders := s.outlook("/users/"+anna+"/contactFolders", token, immutable).values()
	if len(folders) != 1 || folders[0]["id"] != customers || folders[0]["parentFolderId"] != s.folderID("anna", "Contacts") {
		t.Errorf("folders %v", folders)
	}
	below := s.outlook("/users/"+anna+"/contactFolders/"+customers+"/childFolders", token, immutable).values()
	if len(below) != 1 || below[0]["displayName"] != "EU" {
		t.Errorf("below %v", below)
	}
	inside := s.outlook("/users/"+anna+"/contactFolders/"+customers+"/contacts", token, immutable).values()
	if len(inside) != 1 || inside[0]["id"] != ada.ID || inside[0]["displayName"] != "Ada Lovelace" || inside[0]["mobilePhone"] != nil {
		t.Errorf("inside %v", inside)
	}
	if got := s.outlook("/users/"+anna+"/contacts/"+ada.ID, token, immutable); got.body["surname"] != "Lovelace" {
		t.Errorf("%v", got.body)
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.DefaultFolderListed = true }))
	if folders := s.outlook("/users/"+anna+"/contactFolders", token, immutable).values(); len(folders) != 2 || folders[0]["displayName"] != "Contacts" {
		t.Errorf("folders %v", folders)
	}
	for name, c := range map[string]struct {
		path string
		code string
	}{
		"a folder that there is not":     {"/users/" + anna + "/contactFolders/x/contacts", "ErrorItemNotFound"},
		"a contact that there is not":    {"/users/" + anna + "/contacts/x", "ErrorItemNotFound"},
		"nobody":                         {"/users/" + contoso + "/contacts", "ErrorInvalidUser"},
		"a property that there is not":   {"/users/" + anna + "/contacts?$select=shoeSize", "RequestBroker--ParseUri"},
		"a filter":                       {"/users/" + anna + "/contacts?$filter=x", "Request_UnsupportedQuery"},
		"the delta of another's folder":  {"/users/" + s.id("ben") + "/contactFolders/" + customers + "/contacts/delta", "ErrorItemNotFound"},
		"a delta with $top":              {"/users/" + anna + "/contacts/delta?$top=5", "Request_UnsupportedQuery"},
		"a delta by a token of no delta": {"/users/" + anna + "/contacts/delta?$deltatoken=x", "BadRequest"},
	} {
		if got := s.outlook(c.path, token, immutable); got.code() != c.code {
			t.Errorf("%s: %d %s", name, got.status, got.code())
		}
	}
	if v := s.contoso().Violations(); len(v) != 0 {
		t.Errorf("%v", v)
	}
}

func TestContactDelta(t *testing.T) {
	for _, path := range []string{"/contacts/delta", "/contactFolders/contacts/contacts/delta", "/contactFolders/FOLDER/contacts/delta()"} {
		for _, empty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, empty pages %v", path, empty), func(t *testing.T) {
				s := start(t, func(c *graphsim.Config) { c.Tenants[0].Switches.EmptyPages = empty })
				contactRounds(t, s, "/users/"+s.id("anna")+strings.Replace(path, "FOLDER", s.folderID("anna", "Contacts"), 1), empty)
			})
		}
	}
}

func contactRounds(t *testing.T, s *sim, path string, empty bool) {
	tenant, token := s.contoso(), s.appToken(contoso)
	check(t, tenant.FillContacts("anna", 12))
	_, err := tenant.AddContactFolder("anna", "Customers", "")
	check(t, err)
	const prefer = immutable + ", odata.maxpagesize=5"
	there, removed, pages, link := s.contactRound(token, path+"?$select=givenName", prefer)
	wantPages := 3
	if empty {
		wantPages = 6
	}
	if len(there) != 12 || len(removed) != 0 || pages != wantPages {
		t.Fatalf("first round: %d contacts on %d pages, removed %v", len(there), pages, removed)
	}
	truth, err := tenant.Contacts("anna")
	check(t, err)
	if one := there[truth[0].ID]; len(one) != 3 || one["givenName"] != truth[0].GivenName {
		t.Errorf("$select is not kept: %v", one)
	}
	if there, removed, _, link = s.contactRound(token, link, prefer); len(there)+len(removed) != 0 {
		t.Errorf("nothing changed, got %v, %v", there, removed)
	}
	kim := s.contact("anna", graphsim.Contact{GivenName: "Kim"})
	check(t, tenant.EditContact("anna", "1", func(c *graphsim.Contact) { c.GivenName = "Neu" }))
	check(t, tenant.EditContact("anna", "1", func(c *graphsim.Contact) { c.GivenName = "Neuer" }))
	check(t, tenant.DeleteContact("anna", "2"))
	check(t, tenant.MoveContact("anna", "3", "Customers"))
	before := link
	there, removed, _, link = s.contactRound(token, link, prefer)
	slices.Sort(removed)
	gone := []string{truth[1].ID, truth[2].ID}
	slices.Sort(gone)
	if len(there) != 2 || there[truth[0].ID]["givenName"] != "Neuer" || there[kim.ID]["givenName"] != "Kim" || !slices.Equal(removed, gone) {
		t.Errorf("second round: %v, removed %v", there, removed)
	}
	if again, _, _, _ := s.contactRound(token, before, prefer); len(again) != 2 {
		t.Errorf("a repeated link gives %d changes", len(again))
	}
	// In its new folder it has the same immutable id.
	inside, _, _, _ := s.contactRound(token, "/users/"+s.id("anna")+"/contactFolders/"+s.folderID("anna", "Customers")+"/contacts/delta", prefer)
	if len(inside) != 1 || inside[truth[2].ID] == nil {
		t.Errorf("the other folder has %v", inside)
	}
	check(t, tenant.Switch(func(w *graphsim.Switches) { w.Replays = true }))
	if there, removed, _, _ = s.contactRound(token, link, prefer); len(there) != 2 || len(removed) != 2 {
		t.Errorf("replayed: %v, removed %v", there, removed)
	}
	check(t, tenant.Switch(func(w *graphsim.Switches) { w.Replays = false }))
	tenant.ExpireDeltas()
	if got := s.outlook(link, token, prefer); got.status != http.StatusGone || got.code() != "SyncStateNotFound" || got.header.Get("Location") != "" {
		t.Errorf("%d %s", got.status, got.code())
	}
	check(t, tenant.Switch(func(w *graphsim.Switches) { w.GoneLocation = true }))
	location := s.outlook(link, token, prefer).header.Get("Location")
	if !strings.HasSuffix(location, "delta?$deltatoken=") && !strings.HasSuffix(location, "delta()?$deltatoken=") {
		t.Errorf("location %q", location)
	}
	if there, _, _, _ = s.contactRound(token, location, prefer); len(there) != 11 {
		t.Errorf("the restart gives %d contacts", len(there))
	}
	if v := tenant.Violations(); len(v) != 0 {
		t.Errorf("%v", v)
	}
}

// Contacts that leave while a first round is read hide none of the others.
func TestAFirstRoundOfContactsMissesNobodyWhoStays(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	check(t, s.contoso().FillContacts("anna", 9))
	const prefer = immutable + ", odata.maxpagesize=3"
	first := s.outlook("/users/"+s.id("anna")+"/contacts/delta", token, prefer)
	for _, number := range []string{"1", "2", "5"} {
		check(t, s.contoso().DeleteContact("anna", number))
	}
	there, _, _, link := s.contactRound(token, first.text("@odata.nextLink"), prefer)
	if len(there) != 5 { // 4, 6, 7, 8, 9
		t.Errorf("%d contacts after the first page", len(there))
	}
	if _, removed, _, _ := s.contactRound(token, link, prefer); len(removed) != 3 {
		t.Errorf("removed %v", removed)
	}
}

func TestAFolderTakesItsContactsWithIt(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	id, err := s.contoso().AddContactFolder("anna", "Customers", "")
	check(t, err)
	_, err = s.contoso().AddContactFolder("anna", "EU", "Customers")
	check(t, err)
	s.contact("anna", graphsim.Contact{Folder: "EU"})
	s.contact("anna", graphsim.Contact{})
	_, _, _, link := s.contactRound(token, "/users/"+s.id("anna")+"/contactFolders/"+id+"/contacts/delta", immutable)
	check(t, s.contoso().DeleteContactFolder("anna", "Customers"))
	all, err := s.contoso().Contacts("anna")
	if check(t, err); len(all) != 1 {
		t.Errorf("%d contacts are left", len(all))
	}
	if got := s.outlook(link, token, immutable); got.status != http.StatusNotFound || got.code() != "ErrorItemNotFound" {
		t.Errorf("%d %s", got.status, got.code())
	}
}

func TestWhoMayReadContacts(t *testing.T) {
	s := start(t, nil)
	token, path := s.appToken(contoso), "/users/"+s.id("anna")+"/contacts"
	check(t, s.contoso().EditMailbox("ben", func(m *graphsim.Mailbox) { m.Missing = true }))
	check(t, s.contoso().EditMailbox("clara", func(m *graphsim.Mailbox) { m.Denied = true }))
	for user, want := range map[string]string{"ben": "MailboxNotEnabledForRESTAPI", "clara": "ErrorAccessDenied"} {
		if got := s.outlook("/users/"+s.id(user)+"/contacts", token, immutable); got.code() != want {
			t.Errorf("%s: %s", user, got.code())
		}
	}
	check(t, s.contoso().Revoke(appID, "Contacts.Read"))
	if got := s.outlook(path, token, immutable); got.status != http.StatusForbidden || got.code() != "ErrorAccessDenied" {
		t.Errorf("%d %s", got.status, got.code())
	}
	check(t, s.contoso().Grant(appID, "Contacts.Read"))
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.Cloud = "china" }))
	if got := s.outlook(path, token, immutable); got.status != http.StatusOK {
		t.Errorf("contacts in China: %d", got.status)
	}
	if got := s.outlook(path+"/delta", token, immutable); got.status != http.StatusBadRequest {
		t.Errorf("their delta in China: %d", got.status)
	}
}

func TestBothFormsOfIDsAreAViolation(t *testing.T) {
	s := start(t, nil)
	token, path := s.appToken(contoso), "/users/"+s.id("anna")+"/contacts"
	made := s.contact("anna", graphsim.Contact{})
	mutable := func() any { return s.outlook(path, token, "").values()[0]["id"] }
	before := mutable()
	if before == made.ID {
		t.Error("there is one form of ids")
	}
	if len(s.contoso().Violations()) != 0 {
		t.Error("one form alone is a violation")
	}
	s.outlook(path, token, immutable)
	if v := s.contoso().Violations(); len(v) != 1 || v[0].Kind != "mixed-ids" {
		t.Errorf("%v", v)
	}
	_, err := s.contoso().AddContactFolder("anna", "Customers", "")
	check(t, err)
	check(t, s.contoso().MoveContact("anna", "1", "Customers"))
	check(t, s.contoso().MoveContact("anna", "1", ""))
	if after := mutable(); after != before {
		t.Error("back in its folder it has another id") // the simulator's ids are made of what they name
	}
}

func TestAContactThatIsSpoilt(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	made := s.contact("anna", graphsim.Contact{})
	check(t, s.contoso().SpoilContact("anna", "1", map[string]json.RawMessage{"businessPhones": json.RawMessage(`{"x":1}`)}))
	there, _, _, _ := s.contactRound(token, "/users/"+s.id("anna")+"/contacts/delta?$select=businessPhones", immutable)
	if _, spoilt := there[made.ID]["businessPhones"].(map[string]any); !spoilt {
		t.Errorf("%v", there)
	}
}

package graphsim_test

import (
	"net/http"
	"testing"

	"offhook.dev/libs/graph/graphsim"
)

func TestContactsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, func(c *graphsim.Config) {
		c.Tenants[0].Switches = graphsim.Switches{PageSize: 5, EmptyPages: true, GoneLocation: true}
	})
	token, anna := g.appToken(contoso), g.id("anna")
	check(t, g.contoso().FillContacts("anna", 12))
	customers, err := g.contoso().AddContactFolder("anna", "Customers", "")
	check(t, err)
	_, err = g.contoso().AddContactFolder("anna", "EU", "Customers")
	check(t, err)
	ada := g.contact("anna", graphsim.Contact{GivenName: "Ada", Folder: "Customers", HomePhones: []string{"1"}, Mails: []string{"ada@engines.example"}})
	whole := func(path string) (link string) {
		for path != "" {
			at := g.ask("GET", path, token, nil, http.StatusOK)
			path, link = at.text("@odata.nextLink"), at.text("@odata.deltaLink")
		}
		return link
	}
	base := "/users/" + anna
	whole(base + "/contacts?$top=5&$select=id,givenName,surname,displayName,companyName,businessPhones,homePhones,mobilePhone,emailAddresses,parentFolderId,changeKey")
	whole(base + "/contacts")
	whole(base + "/contactFolders?$top=1")
	whole(base + "/contactFolders/" + customers + "/childFolders")
	whole(base + "/contactFolders/" + customers + "/contacts")
	g.ask("GET", base+"/contactFolders/"+customers, token, nil, http.StatusOK)
	g.ask("GET", base+"/contacts/"+ada.ID, token, nil, http.StatusOK)
	g.ask("GET", base+"/contacts/none", token, nil, http.StatusNotFound)
	g.ask("GET", base+"/contactFolders/none/contacts", token, nil, http.StatusNotFound)
	link := whole(base + "/contacts/delta")
	check(t, g.contoso().DeleteContact("anna", "1"))
	check(t, g.contoso().EditContact("anna", "2", func(c *graphsim.Contact) { c.Surname = "New" }))
	link = whole(link)
	inside := whole(base + "/contactFolders/" + customers + "/contacts/delta?$select=givenName")
	g.contoso().ExpireDeltas()
	g.ask("GET", link, token, nil, http.StatusGone)
	g.ask("GET", inside, token, nil, http.StatusGone)
	check(t, g.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Denied = true }))
	g.ask("GET", base+"/contacts", token, nil, http.StatusForbidden)
	g.gate.Verdict(t, "GET /users/{user-id}/contacts 200", "GET /users/{user-id}/contacts 403",
		"GET /users/{user-id}/contacts/{contact-id} 200", "GET /users/{user-id}/contacts/{contact-id} 404",
		"GET /users/{user-id}/contacts/delta 200", "GET /users/{user-id}/contacts/delta 410",
		"GET /users/{user-id}/contactFolders 200", "GET /users/{user-id}/contactFolders/{contactFolder-id} 200",
		"GET /users/{user-id}/contactFolders/{contactFolder-id}/childFolders 200",
		"GET /users/{user-id}/contactFolders/{contactFolder-id}/contacts 200", "GET /users/{user-id}/contactFolders/{contactFolder-id}/contacts 404",
		"GET /users/{user-id}/contactFolders/{contactFolder-id}/contacts/delta 200", "GET /users/{user-id}/contactFolders/{contactFolder-id}/contacts/delta 410")
}

func TestPhotosKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	token, photo := g.appToken(contoso), "/users/"+g.id("anna")+"/photo"
	g.ask("GET", photo, token, nil, http.StatusNotFound)
	check(t, g.contoso().SetPhoto("anna", "image/jpeg", []byte("not read here")))
	g.ask("GET", photo, token, nil, http.StatusOK)
	g.ask("GET", photo+"s", token, nil, http.StatusOK)
	g.ask("GET", photo+"s/240x240", token, nil, http.StatusOK)
	for _, path := range []string{photo + "/$value", photo + "s/240x240/$value"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.gate.URL+"/v1.0"+path, nil)
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := g.client.Do(r)
		check(t, err)
		if response.Body.Close(); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	g.gate.Verdict(t, "GET /users/{user-id}/photo 200", "GET /users/{user-id}/photo 404", "GET /users/{user-id}/photo/$value 200", "GET /users/{user-id}/photos 200",
		"GET /users/{user-id}/photos/{profilePhoto-id} 200", "GET /users/{user-id}/photos/{profilePhoto-id}/$value 200")
}

package graphsim

import (
	"fmt"
	"net/http"
)

// contactOperations are those of the control interface about contacts and photos.
func contactOperations() map[string]controlOperation {
	return map[string]controlOperation{
		"GET users/{user}/contacts":                 func(t *Tenant, r *http.Request) (any, error) { return t.Contacts(r.PathValue("user")) },
		"POST users/{user}/contacts":                controlAddContact,
		"PATCH users/{user}/contacts/{contact}":     controlEditContact,
		"DELETE users/{user}/contacts/{contact}":    controlDeleteContact,
		"POST users/{user}/contacts/{contact}/move": controlMoveContact,
		"POST users/{user}/fill":                    controlFillContacts,
		"GET users/{user}/folders":                  func(t *Tenant, r *http.Request) (any, error) { return t.ContactFolders(r.PathValue("user")) },
		"POST users/{user}/folders":                 controlAddFolder,
		"DELETE users/{user}/folders/{folder}":      controlDeleteFolder,
		"GET users/{user}/photo":                    controlPhoto,
		"PUT users/{user}/photo":                    controlSetPhoto,
		"DELETE users/{user}/photo":                 func(t *Tenant, r *http.Request) (any, error) { return nil, t.RemovePhoto(r.PathValue("user")) },
	}
}

const contactExample = `{"givenName":"Ada","surname":"Lovelace","companyName":"Engines","businessPhones":["+44 20 7946 0001"],"mobilePhone":"+44 7700 900001","folder":"Customers"}`

func controlAddContact(t *Tenant, r *http.Request) (any, error) {
	c, err := read[Contact](r, contactExample)
	if err != nil {
		return nil, err
	}
	return t.AddContact(r.PathValue("user"), c)
}

// contactEdit has what is to be changed; nil is what it was.
type contactEdit struct {
	GivenName      *string   `json:"givenName"`
	Surname        *string   `json:"surname"`
	DisplayName    *string   `json:"displayName"`
	CompanyName    *string   `json:"companyName"`
	JobTitle       *string   `json:"jobTitle"`
	Department     *string   `json:"department"`
	BusinessPhones *[]string `json:"businessPhones"`
	HomePhones     *[]string `json:"homePhones"`
	MobilePhone    *string   `json:"mobilePhone"`
	Mails          *[]string `json:"mails"`
}

func (e contactEdit) apply(c *Contact) {
	replace(&c.GivenName, e.GivenName)
	replace(&c.Surname, e.Surname)
	if e.GivenName != nil || e.Surname != nil {
		c.DisplayName = "" // made of them
	}
	replace(&c.DisplayName, e.DisplayName)
	replace(&c.CompanyName, e.CompanyName)
	replace(&c.JobTitle, e.JobTitle)
	replace(&c.Department, e.Department)
	replace(&c.BusinessPhones, e.BusinessPhones)
	replace(&c.HomePhones, e.HomePhones)
	replace(&c.MobilePhone, e.MobilePhone)
	replace(&c.Mails, e.Mails)
}

func replace[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func controlEditContact(t *Tenant, r *http.Request) (any, error) {
	e, err := read[contactEdit](r, `{"mobilePhone":"+44 7700 900002"}`)
	if err != nil {
		return nil, err
	}
	return nil, t.EditContact(r.PathValue("user"), r.PathValue("contact"), e.apply)
}

func controlDeleteContact(t *Tenant, r *http.Request) (any, error) {
	return nil, t.DeleteContact(r.PathValue("user"), r.PathValue("contact"))
}

func controlMoveContact(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Folder string `json:"folder"`
	}](r, `{"folder":"Customers"}`)
	if err != nil {
		return nil, err
	}
	return nil, t.MoveContact(r.PathValue("user"), r.PathValue("contact"), body.Folder)
}

func controlFillContacts(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Count int `json:"count"`
	}](r, `{"count":100}`)
	if err == nil && (body.Count < 1 || body.Count > 100_000) {
		err = fmt.Errorf("count %d is not 1 to 100,000", body.Count)
	}
	if err != nil {
		return nil, err
	}
	return nil, t.FillContacts(r.PathValue("user"), body.Count)
}

func controlAddFolder(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Name   string `json:"name"`
		Parent string `json:"parent"`
	}](r, `{"name":"Customers"}`)
	if err != nil {
		return nil, err
	}
	id, err := t.AddContactFolder(r.PathValue("user"), body.Name, body.Parent)
	return map[string]string{"id": id}, err
}

func controlDeleteFolder(t *Tenant, r *http.Request) (any, error) {
	return nil, t.DeleteContactFolder(r.PathValue("user"), r.PathValue("folder"))
}

func controlPhoto(t *Tenant, r *http.Request) (any, error) { return t.Photo(r.PathValue("user")) }

func controlSetPhoto(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		MIME  string `json:"mime"`
		Image []byte `json:"image"`
	}](r, `{"mime":"image/jpeg","image":"<base64>"}`)
	if err != nil {
		return nil, err
	}
	if err := t.SetPhoto(r.PathValue("user"), body.MIME, body.Image); err != nil {
		return nil, err
	}
	photo, err := t.Photo(r.PathValue("user"))
	photo.Image = nil
	return photo, err
}

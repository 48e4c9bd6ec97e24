package graphsim

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"time"
)

// changeKey is the version of a contact.
func (s *storedContact) changeKey() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, s.stamp))
}

// contactBody renders microsoft.graph.contact (CSDL, 2026-08) with the properties that
// the simulator knows. t.mu is held.
func (t *Tenant) contactBody(p *person, s *storedContact, immutable bool) map[string]any {
	c := t.renderContact(p, s)
	changed := time.Unix(0, int64(s.stamp)).UTC().Format(time.RFC3339)
	mails := []map[string]any{}
	for _, mail := range c.Mails {
		mails = append(mails, map[string]any{"name": c.DisplayName, "address": mail})
	}
	return map[string]any{
		"id": contactID(p, s, immutable), "changeKey": s.changeKey(), "parentFolderId": s.folder.id,
		"createdDateTime": changed, "lastModifiedDateTime": changed, "categories": []string{},
		"givenName": textOrNull(c.GivenName), "surname": textOrNull(c.Surname), "displayName": textOrNull(c.DisplayName), "fileAs": textOrNull(c.DisplayName),
		"companyName": textOrNull(c.CompanyName), "jobTitle": textOrNull(c.JobTitle), "department": textOrNull(c.Department),
		"businessPhones": listOf(c.BusinessPhones), "homePhones": listOf(c.HomePhones), "mobilePhone": textOrNull(c.MobilePhone),
		"emailAddresses": mails, "personalNotes": c.PersonalNotes, "imAddresses": []string{}, "children": []string{}, "birthday": nil,
		"middleName": nil, "nickName": nil, "title": nil, "initials": nil, "generation": nil, "manager": nil, "assistantName": nil, "spouseName": nil,
		"profession": nil, "officeLocation": nil, "businessHomePage": nil, "yomiGivenName": nil, "yomiSurname": nil, "yomiCompanyName": nil,
		"homeAddress": map[string]any{}, "businessAddress": map[string]any{}, "otherAddress": map[string]any{},
	}
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func listOf(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// contactProperties are the names that contactBody knows.
var contactProperties = (&Tenant{}).contactBody(&person{}, &storedContact{folder: &contactFolder{}}, true)

// contactFields returns the names in $select, nil without one.
func contactFields(query url.Values) ([]string, *graphError) {
	if query.Get("$select") == "" {
		return nil, nil
	}
	return selectedOf(query, contactProperties, "Contact")
}

// pick reduces a body to what was selected, nil for everything. The id and the
// etag come in any case. t.mu is held.
func (s *storedContact) pick(body map[string]any, names []string) map[string]any {
	picked := body
	if names != nil {
		picked = map[string]any{"id": body["id"]}
		for _, name := range names {
			picked[name] = body[name]
		}
	}
	picked["@odata.etag"] = `W/"` + s.changeKey() + `"`
	for name, value := range s.spoiled {
		if _, there := picked[name]; there {
			picked[name] = value
		}
	}
	return picked
}

// folderBody renders microsoft.graph.contactFolder.
func folderBody(p *person, f *contactFolder) map[string]any {
	parent := rootFolder(p)
	if f.parent != nil {
		parent = f.parent.id
	}
	return map[string]any{"id": f.id, "displayName": f.name, "parentFolderId": parent}
}

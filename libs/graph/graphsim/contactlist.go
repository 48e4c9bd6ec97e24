package graphsim

import (
	"net/http"
	"net/url"
	"strconv"
)

// wellKnownContacts is a name for the default folder that several public programs use
// in the place of its id. No page of Microsoft's has it.
const wellKnownContacts = "contacts"

// openContacts returns the contacts of the mailbox in the path, and the folder in it if
// there is one. t.mu is held for writing.
func (c *call) openContacts(prefer preferences) (*person, *contactFolder, *graphError) {
	p, failure := c.openMailbox()
	if failure != nil {
		return nil, nil, failure
	}
	all := p.contactsOf()
	c.noteForm(p, all, prefer.immutable)
	id := c.PathValue("folder")
	if id == "" || id == wellKnownContacts {
		return p, all.folders[0], nil
	}
	for _, f := range all.folders {
		if f.id == id {
			return p, f, nil
		}
	}
	return nil, nil, graphErr(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

// noteForm records a violation where an app asks for both forms of ids of a mailbox:
// it takes one contact for two, as soon as it is moved. t.mu is held.
func (c *call) noteForm(p *person, all *contacts, immutable bool) {
	seen := all.forms[c.app.ClientID]
	seen.immutable, seen.mutable = seen.immutable || immutable, seen.mutable || !immutable
	if seen.immutable && seen.mutable && !seen.told {
		seen.told = true
		c.tenant.violate("mixed-ids", "contacts of the mailbox of %s were asked for with immutable ids and without", p.id)
	}
	all.forms[c.app.ClientID] = seen
}

// listContacts is GET /users/{id}/contacts, of the default folder alone, and
// /users/{id}/contactFolders/{id}/contacts: $select and $top (1 to 1000).
func listContacts(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$expand", "$orderby"); failure != nil {
		return answer{}, failure
	}
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	names, failure := contactFields(query)
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p, folder, failure := c.openContacts(prefer)
	if failure != nil {
		return answer{}, failure
	}
	var all []*storedContact
	for _, s := range p.mailbox.contacts.all {
		if s.folder == folder {
			all = append(all, s)
		}
	}
	return c.shift(len(all), prefer, func(i int) map[string]any {
		return all[i].pick(t.contactBody(p, all[i], prefer.immutable), names)
	})
}

// listContactFolders is GET /users/{id}/contactFolders: the folders below the default
// one, as seen in the field (microsoft-graph-docs-contrib#6327).
func listContactFolders(c *call) (answer, *graphError) { return c.listFolders(false) }

// listChildFolders is GET /users/{id}/contactFolders/{id}/childFolders.
func listChildFolders(c *call) (answer, *graphError) { return c.listFolders(true) }

func (c *call) listFolders(below bool) (answer, *graphError) {
	if failure := refuse(c.URL.Query(), "$filter", "$search", "$expand", "$orderby"); failure != nil {
		return answer{}, failure
	}
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p, folder, failure := c.openContacts(prefer)
	if failure != nil {
		return answer{}, failure
	}
	list := p.mailbox.contacts.children(folder)
	if !below && t.switches.DefaultFolderListed {
		list = append([]*contactFolder{folder}, list...)
	}
	return c.shift(len(list), prefer, func(i int) map[string]any { return folderBody(p, list[i]) })
}

// shift answers a page of a list of n: $top, and $skiptoken in links.
func (c *call) shift(n int, prefer preferences, item func(i int) map[string]any) (answer, *graphError) {
	query := c.URL.Query()
	size, skip, failure := paging(query, prefer)
	if failure != nil {
		return answer{}, failure
	}
	result := page{Context: c.origin() + "/$metadata#" + url.PathEscape(c.URL.Path), Value: []map[string]any{}}
	end := min(skip+size, n)
	for i := min(skip, end); i < end; i++ {
		result.Value = append(result.Value, item(i))
	}
	if end < n {
		query.Set("$skiptoken", strconv.Itoa(end))
		result.NextLink = "https://" + c.Host + c.URL.EscapedPath() + "?" + query.Encode()
	}
	return answer{body: result, header: prefer.applied()}, nil
}

// getContactFolder is GET /users/{id}/contactFolders/{id}.
func getContactFolder(c *call) (answer, *graphError) {
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	p, folder, failure := c.openContacts(prefer)
	if failure != nil {
		return answer{}, failure
	}
	return answer{body: folderBody(p, folder), header: prefer.applied()}, nil
}

// getContact is GET /users/{id}/contacts/{id}, in whatever folder it is.
func getContact(c *call) (answer, *graphError) {
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	names, failure := contactFields(c.URL.Query())
	if failure != nil {
		return answer{}, failure
	}
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	p, _, failure := c.openContacts(prefer)
	if failure != nil {
		return answer{}, failure
	}
	for _, s := range p.mailbox.contacts.all {
		if id := c.PathValue("contact"); id == contactID(p, s, true) || id == contactID(p, s, false) {
			return answer{body: s.pick(c.tenant.contactBody(p, s, prefer.immutable), names), header: prefer.applied()}, nil
		}
	}
	return answer{}, graphErr(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

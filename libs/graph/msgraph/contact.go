package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

const (
	contactPage = 200 // contacts asked for per page
	keysPage    = 1000
	folderPage  = 100

	contactFields = "id,givenName,surname,displayName,companyName,jobTitle,department,businessPhones,homePhones,mobilePhone,emailAddresses"
)

// preferContacts must be on every request about contacts: their ids would differ else.
var preferContacts = fmt.Sprintf(`%s, odata.maxpagesize=%d`, preferImmutable, contactPage)

// readMailbox reads one thing of a mailbox, at a URL below the version.
func (c *Client) readMailbox(ctx context.Context, op string, user identity.User, at, prefer string, into any) error {
	if _, err := identity.ParseUser(string(user)); err != nil {
		return fault.New(fault.Invalid, op, err)
	}
	var body json.RawMessage
	err := fault.Errorf(fault.Unknown, op, "nothing was answered")
	c.batch(ctx, op, []*batchItem{{user: user, url: at, prefer: prefer}}, func(_ int, answer json.RawMessage, failure error) (string, bool) {
		body, err = answer, failure
		return "", true
	})
	if err != nil {
		return err
	}
	if json.Unmarshal(body, into) != nil { // the cause would quote what a person wrote
		return fault.New(fault.Unknown, op, errors.New("the answer cannot be read"))
	}
	return nil
}

func contactsAt(user identity.User, folder string) string {
	return "/users/" + string(user) + "/contactFolders/" + url.PathEscape(folder) + "/contacts"
}

// DefaultContacts implements graph.ContactReader. A contact names the folder it is in.
func (c *Client) DefaultContacts(ctx context.Context, user identity.User) (string, error) {
	const op = "microsoft graph: find a mailbox's contacts"
	var page struct {
		Value []struct {
			Folder string `json:"parentFolderId"`
		} `json:"value"`
	}
	if err := c.readMailbox(ctx, op, user, "/users/"+string(user)+"/contacts?$top=1&$select=id,parentFolderId", preferContacts, &page); err != nil {
		return "", err
	}
	if len(page.Value) == 0 {
		return "", nil
	}
	if page.Value[0].Folder == "" {
		return "", fault.New(fault.Unknown, op, errors.New("a contact names no folder"))
	}
	return page.Value[0].Folder, nil
}

// ContactFolders implements graph.ContactReader.
func (c *Client) ContactFolders(ctx context.Context, user identity.User) ([]graph.ContactFolder, error) {
	const op = "microsoft graph: list folders of contacts"
	base := "/users/" + string(user) + "/contactFolders"
	var all []graph.ContactFolder
	known := map[string]bool{}
	for at := -1; at < len(all); at++ {
		next := base
		if at >= 0 {
			next += "/" + url.PathEscape(all[at].ID) + "/childFolders"
		}
		next += fmt.Sprintf("?$top=%d&$select=id,displayName,parentFolderId", folderPage)
		for next != "" {
			var page struct {
				Value []struct {
					ID     string `json:"id"`
					Name   string `json:"displayName"`
					Parent string `json:"parentFolderId"`
				} `json:"value"`
				Next string `json:"@odata.nextLink"`
			}
			if err := c.readMailbox(ctx, op, user, next, preferContacts, &page); err != nil {
				return nil, err
			}
			if page.Value == nil {
				return nil, fault.New(fault.Unknown, op, errors.New("a page of folders has no list"))
			}
			for _, f := range page.Value {
				if f.ID == "" || known[f.ID] {
					continue
				}
				known[f.ID] = true
				all = append(all, graph.ContactFolder{ID: f.ID, Name: f.Name, Parent: f.Parent})
			}
			if len(all) > graph.MaxContactFolders {
				return nil, fault.Errorf(fault.Unsupported, op, "the mailbox has more than %d folders of contacts", graph.MaxContactFolders)
			}
			var err error
			if next, err = c.linkBelow(op, page.Next); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// linkBelow is below for a link that may be absent.
func (c *Client) linkBelow(op, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	next, err := c.below(graph.Cursor(link))
	if err != nil {
		return "", fault.New(fault.Invalid, op, err)
	}
	return next, nil
}

// ContactChanges implements graph.ContactReader.
func (c *Client) ContactChanges(ctx context.Context, user identity.User, folder string, at graph.Cursor) (graph.ContactPage, error) {
	const op = "microsoft graph: read changes of contacts"
	if reason := c.cloud.Lacks(graph.FeatureContactDelta); reason != "" {
		return graph.ContactPage{}, fault.New(fault.Unsupported, op, errors.New(reason))
	}
	page, err := c.contacts(ctx, op, user, at, contactsAt(user, folder)+"/delta?$select="+contactFields)
	switch {
	case err != nil && fault.KindOf(err) == fault.Gone:
		return graph.ContactPage{Reset: true}, nil
	case err == nil && (page.Next == "") == (page.Delta == ""):
		return graph.ContactPage{}, fault.New(fault.Unknown, op, errors.New("a page has either a next link or a delta link"))
	}
	return page, err
}

// ContactList implements graph.ContactReader.
func (c *Client) ContactList(ctx context.Context, user identity.User, folder string, at graph.Cursor) (graph.ContactPage, error) {
	return c.contacts(ctx, "microsoft graph: list contacts", user, at, fmt.Sprintf("%s?$top=%d&$select=%s,changeKey", contactsAt(user, folder), contactPage, contactFields))
}

// ContactKeys implements graph.ContactReader.
func (c *Client) ContactKeys(ctx context.Context, user identity.User, folder string, at graph.Cursor) (graph.ContactPage, error) {
	return c.contacts(ctx, "microsoft graph: list keys of contacts", user, at, fmt.Sprintf("%s?$top=%d&$select=id,changeKey", contactsAt(user, folder), keysPage))
}

// contacts reads the page at a cursor, or the first one.
func (c *Client) contacts(ctx context.Context, op string, user identity.User, at graph.Cursor, first string) (graph.ContactPage, error) {
	next, err := c.linkBelow(op, string(at))
	if err != nil {
		return graph.ContactPage{}, err
	}
	if next == "" {
		next = first
	}
	var body struct {
		Value []json.RawMessage `json:"value"`
		Next  string            `json:"@odata.nextLink"`
		Delta string            `json:"@odata.deltaLink"`
	}
	prefer := preferContacts
	if strings.Contains(first, "$top=") { // a preferred size would count over it
		prefer = preferImmutable
	}
	if err := c.readMailbox(ctx, op, user, next, prefer, &body); err != nil {
		return graph.ContactPage{}, err
	}
	if body.Value == nil {
		return graph.ContactPage{}, fault.New(fault.Unknown, op, errors.New("a page of contacts has no list"))
	}
	page := graph.ContactPage{Next: graph.Cursor(body.Next), Delta: graph.Cursor(body.Delta)}
	for _, raw := range body.Value {
		addContact(&page, raw)
	}
	return page, nil
}

package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

const (
	viewPage     = 100 // events asked for per page; a day and a half rarely has more than one
	maxViewPages = 50  // of one calendar

	viewFields = "id,start,end,showAs,isAllDay,isCancelled,responseStatus,sensitivity"

	// preferImmutable must be on every request about Outlook's items, or on none.
	preferImmutable = `IdType="ImmutableId"`
	preferView      = `outlook.timezone="UTC", ` + preferImmutable
)

// CalendarViews implements graph.CalendarReader.
func (c *Client) CalendarViews(ctx context.Context, requests []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	const op = "microsoft graph: read a calendar"
	return func(yield func(graph.CalendarAnswer) bool) {
		seen := make(map[identity.User]bool, len(requests))
		answers := make([]graph.CalendarAnswer, len(requests))
		pages := make([]int, len(requests))
		var items []*batchItem
		for i, request := range requests {
			answers[i].User = request.User
			if err := checkView(request, seen); err != nil {
				if !yield(graph.CalendarAnswer{User: request.User, Err: fault.New(fault.Invalid, op, err)}) {
					return
				}
				continue
			}
			items = append(items, &batchItem{index: i, user: request.User, url: viewURL(request), prefer: preferView})
		}
		c.batch(ctx, op, items, func(i int, body json.RawMessage, err error) (string, bool) {
			next := ""
			if err == nil {
				pages[i]++
				next, err = c.addView(op, &answers[i], body, requests[i].Zone, pages[i])
			}
			switch {
			case err != nil:
				return "", yield(graph.CalendarAnswer{User: requests[i].User, Err: err})
			case next != "":
				return next, true
			}
			return "", yield(answers[i])
		})
	}
}

// checkView refuses a request that Graph would, and a second one for a user.
func checkView(r graph.CalendarRequest, seen map[identity.User]bool) error {
	if _, err := identity.ParseUser(string(r.User)); err != nil {
		return err
	}
	switch {
	case seen[r.User]:
		return fmt.Errorf("user %s is named twice", r.User)
	case !r.From.Before(r.To):
		return errors.New("a calendar view begins before it ends")
	case r.To.Sub(r.From) > graph.MaxCalendarWindow:
		return fmt.Errorf("a calendar view covers at most %d days", graph.MaxCalendarWindow/(24*time.Hour))
	}
	seen[r.User] = true
	return nil
}

// viewURL asks for what decides and for nothing that a person wrote.
func viewURL(r graph.CalendarRequest) string {
	fields := viewFields
	if r.Attendees {
		fields += ",attendees"
	}
	return fmt.Sprintf("/users/%s/calendarView?startDateTime=%s&endDateTime=%s&$select=%s&$top=%d",
		r.User, r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339), fields, viewPage)
}

// addView adds a page to an answer and returns the next page's URL, or "".
func (c *Client) addView(op string, answer *graph.CalendarAnswer, body json.RawMessage, zone *time.Location, pages int) (string, error) {
	var page struct {
		Value []json.RawMessage `json:"value"`
		Next  string            `json:"@odata.nextLink"`
	}
	// No cause of these errors is passed on: it would quote the calendar.
	if json.Unmarshal(body, &page) != nil || page.Value == nil {
		return "", fault.New(fault.Unknown, op, errors.New("a page of the calendar cannot be read"))
	}
	for _, raw := range page.Value {
		entry, err := entryOf(raw, zone)
		if err != nil {
			answer.Dropped = append(answer.Dropped, err)
			continue
		}
		answer.Entries = append(answer.Entries, entry)
	}
	if page.Next == "" {
		return "", nil
	}
	if pages >= maxViewPages {
		return "", fault.Errorf(fault.Unknown, op, "the calendar has more than %d pages", maxViewPages)
	}
	next, err := c.below(graph.Cursor(page.Next))
	if err != nil {
		return "", fault.New(fault.Invalid, op, err)
	}
	return next, nil
}

// below turns a link into a URL below the version, as a batch wants it: only where
// it leads to the tenant's own Graph host.
func (c *Client) below(link graph.Cursor) (string, error) {
	if err := c.cloud.CheckLink(link); err != nil {
		return "", err
	}
	u, err := url.Parse(string(link))
	if err != nil {
		return "", errors.New("link is not a URL")
	}
	path, ok := strings.CutPrefix(u.EscapedPath(), "/v1.0/")
	if !ok {
		return "", errors.New("link leads to another version")
	}
	return "/" + path + "?" + u.RawQuery, nil
}

// MailboxZones implements graph.CalendarReader.
func (c *Client) MailboxZones(ctx context.Context, users []identity.User) iter.Seq[graph.ZoneAnswer] {
	const op = "microsoft graph: read a mailbox's time zone"
	return eachMailbox(ctx, c, op, users, "/mailboxSettings?$select=timeZone", func(user identity.User, body json.RawMessage, err error) graph.ZoneAnswer {
		answer := graph.ZoneAnswer{User: user, Err: err}
		if err == nil {
			answer.Zone, answer.Err = zoneOf(op, body)
		}
		return answer
	})
}

func zoneOf(op string, body json.RawMessage) (*time.Location, error) {
	var settings struct {
		Zone string `json:"timeZone"`
	}
	if json.Unmarshal(body, &settings) != nil {
		return nil, fault.New(fault.Unknown, op, errors.New("the mailbox's settings cannot be read"))
	}
	zone, err := graph.ParseZone(settings.Zone)
	if err != nil {
		return nil, fault.New(fault.Unsupported, op, err)
	}
	return zone, nil
}

package graphsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"offhook.dev/libs/graph"
)

// DefaultZone is the time zone of mailboxes that nobody has changed, as Windows
// calls it.
const DefaultZone = "W. Europe Standard Time"

// Mailbox is what Exchange knows of a user beside the calendar.
type Mailbox struct {
	Zone    string `json:"timeZone"`          // Windows' or IANA's name, or what a person made up
	Purpose string `json:"userPurpose"`       // user, shared, room, equipment, linked, others
	Missing bool   `json:"missing,omitempty"` // there is no mailbox, or it is not in the cloud
	Denied  bool   `json:"denied,omitempty"`  // the app may not read this one (an access policy of Exchange)
}

// mailbox is a Mailbox at work. It is guarded by Tenant.mu.
type mailbox struct {
	Mailbox
	events  []*event // in order of their numbers
	byKey   map[string]*event
	numbers int
	log     []eventChange     // what the delta reports, oldest first
	use     map[string]*usage // by client id

	contacts *contacts // or nil: nobody has touched them
	photo    *Photo    // or nil
}

// eventChange says that an event was created, changed or deleted.
type eventChange struct {
	sequence uint64
	key      string
}

// mail returns p's mailbox, made when it is first needed. t.mu is held for writing.
func (p *person) mail() *mailbox {
	if p.mailbox == nil {
		p.mailbox = &mailbox{Mailbox: Mailbox{Zone: DefaultZone, Purpose: "user"}, byKey: make(map[string]*event), use: make(map[string]*usage)}
	}
	return p.mailbox
}

// home is the zone in which the person's days begin: UTC where it has no known name.
func (m *mailbox) home() *time.Location {
	if zone, err := graph.ParseZone(m.Zone); err == nil {
		return zone
	}
	return time.UTC
}

// standard is the zone of meetings that name none.
func (m *mailbox) standard() string {
	if _, err := graph.ParseZone(m.Zone); err != nil {
		return "UTC"
	}
	return m.Zone
}

// Mailbox returns a user's mailbox.
func (t *Tenant) Mailbox(user string) (Mailbox, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return Mailbox{}, t.noUser(user)
	}
	return p.mail().Mailbox, nil
}

var purposes = []string{"user", "linked", "shared", "room", "equipment", "others"}

// EditMailbox changes a user's mailbox. A time zone may have any name: people make
// their own.
func (t *Tenant) EditMailbox(user string, edit func(*Mailbox)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	next := p.mail().Mailbox
	edit(&next)
	if !slices.Contains(purposes, next.Purpose) {
		return fmt.Errorf("mailbox of %q: purpose %q is none of %v", user, next.Purpose, purposes)
	}
	p.mailbox.Mailbox = next
	return nil
}

// Outlook's limits for one app in one mailbox
// (learn.microsoft.com/graph/throttling-limits, 2026-02).
const (
	mailboxConcurrent = 4
	mailboxRequests   = 10_000
	mailboxWindow     = 10 * time.Minute
	mailboxSlots      = 60 // into which the window is divided
)

// usage counts the requests of an app to a mailbox.
type usage struct {
	under int // being served
	slots [mailboxSlots]int
	slot  int64 // number of the newest slot
	total int   // of all slots
}

// note counts a request and returns how many there were in the window, and when the
// oldest of them are forgotten.
func (u *usage) note(now time.Time) (total int, relief time.Duration) {
	const length = mailboxWindow / mailboxSlots
	slot := now.UnixNano() / int64(length)
	for ; u.slot < slot; u.slot++ {
		if slot-u.slot > mailboxSlots {
			u.slots, u.total, u.slot = [mailboxSlots]int{}, 0, slot-1
		}
		next := (u.slot + 1) % mailboxSlots
		u.total -= u.slots[next]
		u.slots[next] = 0
	}
	u.slots[slot%mailboxSlots]++
	u.total++
	return u.total, time.Duration((slot+1)*int64(length) - now.UnixNano())
}

// enterMailbox counts a request to the mailbox in its path, and answers 429 to one
// too many; leave follows in any case. These limits are always in force: who keeps
// them meets none. Exceeding one is a Violation.
func (c *call) enterMailbox() (leave func(), refusal *Fault) {
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.exact(c.PathValue("user"))
	if p == nil {
		return func() {}, nil
	}
	box := p.mail()
	use := box.use[c.app.ClientID]
	if use == nil {
		use = new(usage)
		box.use[c.app.ClientID] = use
	}
	use.under++
	leave = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		use.under--
	}
	total, relief := use.note(c.server.now())
	switch {
	case use.under > mailboxConcurrent:
		t.violate("mailbox-concurrency", "%d requests to the mailbox of %s at a time", use.under, p.id)
		return leave, &Fault{Kind: FaultStatus, Status: http.StatusTooManyRequests, RetryAfter: "1", concurrency: true}
	case total > mailboxRequests:
		t.violate("mailbox-requests", "%d requests to the mailbox of %s in %v", total, p.id, mailboxWindow)
		return leave, &Fault{Kind: FaultStatus, Status: http.StatusTooManyRequests,
			RetryAfter: strconv.FormatFloat(max(relief.Seconds(), 0.001), 'f', 3, 64)}
	}
	return leave, nil
}

// openMailbox returns the user in the path if the caller may read the mailbox. t.mu
// is held for writing.
func (c *call) openMailbox() (*person, *graphError) {
	return c.mailboxOf(c.PathValue("user"))
}

func (c *call) mailboxOf(ref string) (*person, *graphError) {
	p := c.tenant.exact(ref)
	switch {
	case p == nil:
		return nil, graphErr(http.StatusNotFound, "ErrorInvalidUser", "The requested user '%s' is invalid.", ref)
	case c.user != "" && c.user != p.id:
		return nil, graphErr(http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
	case p.mail().Missing:
		return nil, graphErr(http.StatusNotFound, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted on-premise.")
	case p.mailbox.Denied:
		return nil, graphErr(http.StatusForbidden, "ErrorAccessDenied", "Access to OData is disabled.")
	}
	return p, nil
}

// getMailboxSettings is GET /users/{id}/mailboxSettings, and with a name behind it
// that setting alone.
func getMailboxSettings(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	p, failure := c.openMailbox()
	if failure != nil {
		return answer{}, failure
	}
	settings := map[string]any{"timeZone": p.mailbox.Zone, "userPurpose": p.mailbox.Purpose, "archiveFolder": nil,
		"dateFormat": "dd.MM.yyyy", "timeFormat": "HH:mm", "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly"}
	context := c.origin() + "/$metadata#users('" + p.id + "')/mailboxSettings"
	if name := c.PathValue("setting"); name != "" {
		value, known := settings[name]
		if !known {
			return answer{}, badRequest("Resource not found for the segment '%s'.", name)
		}
		return answer{body: map[string]any{"@odata.context": context + "/" + name, "value": value}}, nil
	}
	names, failure := selectedOf(c.URL.Query(), settings, "mailboxSettings")
	if failure != nil {
		return answer{}, failure
	}
	picked := map[string]any{"@odata.context": context}
	for _, name := range names {
		picked[name] = settings[name]
	}
	return answer{body: picked}, nil
}

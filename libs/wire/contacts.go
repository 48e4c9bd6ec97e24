package wire

import (
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// ContactsPage is one page of the contacts of one folder of a mailbox.
type ContactsPage struct {
	Mailbox identity.Person // whose it is
	Shared  bool            // the contacts are everybody's
	Folder  string          // an opaque id
	Round   uint64          // tells readings of the folder apart; grows
	// Full: the round reads the whole folder, so what is not in it is gone at its end.
	Full, First, Last bool
	Contacts          []directory.Contact // with Source, without ID
	Removed           []string            // sources of what is gone
	// Problem is why there is nothing to read ("gone", "denied", "no mailbox"); the page is
	// empty then, and nothing follows from it.
	Problem    string
	FolderGone bool // the folder is not there any more
	SeenAt     time.Time
}

// Encode implements Message.
func (p ContactsPage) Encode() (string, []byte) {
	m := &eventv1.ContactsPage{Tenant: string(p.Mailbox.Tenant), Mailbox: string(p.Mailbox.User), Folder: clean(p.Folder), Round: p.Round, Full: p.Full,
		First: p.First, Last: p.Last, Removed: words(p.Removed), Problem: clean(p.Problem), FolderGone: p.FolderGone, SeenAt: stamp(p.SeenAt), Shared: p.Shared}
	for _, c := range p.Contacts {
		m.Contacts = append(m.Contacts, contactOut(c))
	}
	return "m365.fact.contacts." + PersonKey(p.Mailbox), marshal(m)
}

// DecodeContactsPage is the inverse of ContactsPage.Encode.
func DecodeContactsPage(data []byte) (ContactsPage, error) {
	var m eventv1.ContactsPage
	if err := unmarshal(data, &m); err != nil {
		return ContactsPage{}, err
	}
	who, err := person("wire: contacts page", m.Tenant, m.Mailbox)
	if err != nil {
		return ContactsPage{}, err
	}
	p := ContactsPage{Mailbox: who, Shared: m.Shared, Folder: m.Folder, Round: m.Round, Full: m.Full, First: m.First, Last: m.Last, Removed: m.Removed,
		Problem: m.Problem, FolderGone: m.FolderGone, SeenAt: moment(m.SeenAt)}
	for _, c := range m.Contacts {
		p.Contacts = append(p.Contacts, contactIn(c))
	}
	return p, nil
}

func contactOut(c directory.Contact) *eventv1.Contact {
	m := &eventv1.Contact{Id: clean(c.ID), Source: clean(c.Source), FirstName: clean(c.FirstName), LastName: clean(c.LastName), Company: clean(c.Company),
		Title: clean(c.Title), Department: clean(c.Department), Mail: clean(c.Mail)}
	for _, n := range c.Numbers {
		m.Numbers = append(m.Numbers, &eventv1.PhoneNumber{Kind: clean(string(n.Kind)), Text: clean(n.Text)})
	}
	return m
}

func contactIn(m *eventv1.Contact) directory.Contact {
	c := directory.Contact{ID: m.GetId(), Source: m.GetSource(), FirstName: m.GetFirstName(), LastName: m.GetLastName(), Company: m.GetCompany(),
		Title: m.GetTitle(), Department: m.GetDepartment(), Mail: m.GetMail()}
	for _, n := range m.GetNumbers() {
		c.Numbers = append(c.Numbers, directory.Number{Kind: directory.NumberKind(n.GetKind()), Text: n.GetText()})
	}
	return c
}

// ContactChange is a change of one entry.
type ContactChange struct {
	Op      ChangeOp // OpCreate, OpUpdate or OpDelete
	Contact directory.Contact
}

// ContactsWant is a series of changes of one phonebook.
type ContactsWant struct {
	ID      string
	Mailbox identity.Person // where the contacts are from
	Book    directory.Book
	Chunk   string // tells the series of a book apart; one of them is on its way at a time for each mailbox
	Changes []ContactChange
	// Again: they were asked for before and nobody knows what came of it, so look before
	// creating anything.
	Again    bool
	Plan     string
	WantedAt time.Time
}

// bookKey tells the company's book by the token of nothing, which no extension has.
func bookKey(b directory.Book, chunk string) string {
	return topology.Join(string(b.System), string(b.Owner), chunk)
}

// ContactsWantSubject is the subject of a series of changes.
func ContactsWantSubject(b directory.Book, chunk string) string {
	return "pbx.want.contact." + bookKey(b, chunk)
}

// Encode implements Message.
func (w ContactsWant) Encode() (string, []byte) {
	m := &eventv1.ContactsWant{Id: clean(w.ID), Tenant: string(w.Mailbox.Tenant), Mailbox: string(w.Mailbox.User), System: string(w.Book.System),
		Owner: string(w.Book.Owner), Chunk: clean(w.Chunk), Again: w.Again, Plan: clean(w.Plan), WantedAt: stamp(w.WantedAt)}
	for _, c := range w.Changes {
		m.Changes = append(m.Changes, &eventv1.ContactChange{Op: clean(string(c.Op)), Contact: contactOut(c.Contact)})
	}
	return ContactsWantSubject(w.Book, w.Chunk), marshal(m)
}

// DecodeContactsWant is the inverse of ContactsWant.Encode.
func DecodeContactsWant(data []byte) (ContactsWant, error) {
	const op = "wire: contacts want"
	var m eventv1.ContactsWant
	if err := unmarshal(data, &m); err != nil {
		return ContactsWant{}, err
	}
	who, err := person(op, m.Tenant, m.Mailbox)
	if err != nil {
		return ContactsWant{}, err
	}
	book, err := bookIn(op, m.System, m.Owner)
	if err != nil {
		return ContactsWant{}, err
	}
	w := ContactsWant{ID: m.Id, Mailbox: who, Book: book, Chunk: m.Chunk, Again: m.Again, Plan: m.Plan, WantedAt: moment(m.WantedAt)}
	for _, c := range m.Changes {
		w.Changes = append(w.Changes, ContactChange{ChangeOp(c.GetOp()), contactIn(c.GetContact())})
	}
	return w, nil
}

func bookIn(op, system, owner string) (directory.Book, error) {
	s, err := identity.ParseSystem(system)
	if err != nil {
		return directory.Book{}, fault.New(fault.Invalid, op, err)
	}
	if owner == "" {
		return directory.Book{System: s}, nil
	}
	e, err := identity.ParseExtension(owner)
	if err != nil {
		return directory.Book{}, fault.New(fault.Invalid, op, err)
	}
	return directory.Book{System: s, Owner: e}, nil
}

// ContactResult is what came of one change.
type ContactResult struct {
	Op         ChangeOp
	Source, ID string // ID: of the entry as the phone system has it now
	Result     ChangeResult
	Detail     string
}

// ContactsOutcome is what came of a ContactsWant, change by change, in its order.
type ContactsOutcome struct {
	ID      string // of the want
	Mailbox identity.Person
	Book    directory.Book
	Chunk   string
	Results []ContactResult
	Plan    string
	At      time.Time
}

// Encode implements Message.
func (o ContactsOutcome) Encode() (string, []byte) {
	m := &eventv1.ContactsOutcome{Id: clean(o.ID), Tenant: string(o.Mailbox.Tenant), Mailbox: string(o.Mailbox.User), System: string(o.Book.System),
		Owner: string(o.Book.Owner), Chunk: clean(o.Chunk), Plan: clean(o.Plan), At: stamp(o.At)}
	for _, r := range o.Results {
		m.Results = append(m.Results, &eventv1.ContactResult{Op: clean(string(r.Op)), Source: clean(r.Source), Id: clean(r.ID), Result: clean(string(r.Result)), Detail: clean(r.Detail)})
	}
	return "outcome.contact." + bookKey(o.Book, o.Chunk), marshal(m)
}

// DecodeContactsOutcome is the inverse of ContactsOutcome.Encode.
func DecodeContactsOutcome(data []byte) (ContactsOutcome, error) {
	const op = "wire: contacts outcome"
	var m eventv1.ContactsOutcome
	if err := unmarshal(data, &m); err != nil {
		return ContactsOutcome{}, err
	}
	who, err := person(op, m.Tenant, m.Mailbox)
	if err != nil {
		return ContactsOutcome{}, err
	}
	book, err := bookIn(op, m.System, m.Owner)
	if err != nil {
		return ContactsOutcome{}, err
	}
	o := ContactsOutcome{ID: m.Id, Mailbox: who, Book: book, Chunk: m.Chunk, Plan: m.Plan, At: moment(m.At)}
	for _, r := range m.Results {
		o.Results = append(o.Results, ContactResult{Op: ChangeOp(r.GetOp()), Source: r.GetSource(), ID: r.GetId(), Result: ChangeResult(r.GetResult()), Detail: r.GetDetail()})
	}
	return o, nil
}

package poller

import (
	"context"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// listReader is a verb that lists the contacts of a folder.
type listReader func(ctx context.Context, user identity.User, folder string, at graph.Cursor) (graph.ContactPage, error)

// Why there is nothing to read in a mailbox, beside noMailbox and denied, as a page says.
const mailboxGone = "gone"

// mailboxReading is one reading of a mailbox.
type mailboxReading struct {
	r      *contactReader
	who    identity.Person
	shared bool
	state  mailboxState

	pages   int // published
	dropped int // contacts that could not be read
}

// read reads what changed in a mailbox since it was last read, or everything, and returns
// a word for what became of it. What was read to the end is remembered, also where
// something else could not be.
func (r *contactReader) read(ctx context.Context, user identity.User, whole bool) (result string, err error) {
	m := &mailboxReading{r: r, who: r.t.person(user), shared: r.isShared(user)}
	var was []byte
	if m.state, was, err = r.t.loadState(ctx, user); err != nil {
		return "", err
	}
	began := r.t.p.bus.Now()
	whole = whole || r.lacks(user, m.state.Whole)
	err = m.folders(ctx, whole)
	problem := ""
	switch kind := fault.KindOf(err); {
	case err == nil:
		if whole {
			m.state.Whole = began
		}
	case kind == fault.NotFound:
		if problem, err = m.absent(ctx); err != nil {
			return "", err
		}
	case kind == fault.Denied:
		problem, err = denied, nil
	}
	if err == nil {
		err = m.says(ctx, problem, began)
	}
	if saved := r.t.saveState(context.WithoutCancel(ctx), user, m.state, was); err == nil {
		err = saved
	}
	if m.dropped > 0 {
		r.t.p.people.unread(ctx, r.t.conf.ID, m.dropped)
		r.t.log.Warn("contacts of a mailbox could not be read; the others are", "mailbox", user, "contacts", m.dropped)
	}
	switch {
	case err != nil:
		return "", err
	case problem != "":
		return problem, nil
	case m.pages > 0:
		return "changed", nil
	}
	return "read", nil
}

// says publishes a page without contacts when there is another problem than before, or
// none any more and no page has shown it.
func (m *mailboxReading) says(ctx context.Context, problem string, seen time.Time) error {
	if m.state.Problem == problem {
		return nil
	}
	if problem != "" || m.pages == 0 {
		page := m.begin(defaultFolder, false).page(seen)
		page.First, page.Last, page.Problem = true, true, problem
		if problem != "" {
			page.Folder = ""
		}
		if err := m.publish(ctx, *page); err != nil {
			return err
		}
	}
	if problem != "" {
		m.r.t.log.Debug("there are no contacts to read in a mailbox", "mailbox", m.who.User, "why", problem)
	}
	m.state.Problem = problem
	return nil
}

func (m *mailboxReading) publish(ctx context.Context, page wire.ContactsPage) error {
	if err := m.r.t.p.publish(ctx, page); err != nil {
		return err
	}
	m.pages++
	return nil
}

// absent tells a user who is gone from one without a mailbox.
func (m *mailboxReading) absent(ctx context.Context) (string, error) {
	stored, err := m.r.t.storedUser(ctx, m.who.User)
	switch {
	case err != nil:
		return "", err
	case stored.sequence == 0 || stored.fact.Gone:
		return mailboxGone, nil
	}
	return noMailbox, nil
}

// folders reads every folder that is asked for. What is wrong with one costs no other.
func (m *mailboxReading) folders(ctx context.Context, whole bool) error {
	wanted, err := m.wanted(ctx)
	if err != nil {
		return err
	}
	var first error
	for _, f := range wanted {
		_, known := m.state.folder(f.Name)
		err := m.folder(ctx, f, whole || !known)
		switch kind := fault.KindOf(err); {
		case err == nil:
		case kind == fault.Denied || kind == fault.Throttled || kind == fault.Cancelled, kind == fault.NotFound && f.Name == defaultFolder:
			return err // it is about the mailbox
		case first == nil:
			first = err
		}
	}
	for _, f := range slices.Clone(m.state.Folders) {
		if slices.ContainsFunc(wanted, func(w folderState) bool { return w.Name == f.Name }) {
			continue
		}
		if err := m.gone(ctx, f.Name); err != nil {
			return err
		}
	}
	return first
}

// wanted lists the folders that are asked for, with how far each was read: the default
// one, and those of the names of the configuration with all that is below them.
func (m *mailboxReading) wanted(ctx context.Context) ([]folderState, error) {
	t := m.r.t
	home, _ := m.state.folder(defaultFolder)
	if home.ID == "" {
		id, err := t.client.DefaultContacts(ctx, m.who.User)
		if err != nil {
			return nil, err
		}
		home.ID = id
	}
	wanted := []folderState{home}
	if len(t.conf.Folders) == 0 {
		return wanted, nil
	}
	all, err := t.client.ContactFolders(ctx, m.who.User)
	if err != nil {
		return nil, err
	}
	for _, id := range chosen(all, t.conf.Folders) {
		if id != home.ID {
			f, _ := m.state.folder(id)
			wanted = append(wanted, f)
		}
	}
	return wanted, nil
}

// chosen returns the ids of folders that have one of the names, capitals apart, or are
// below one that has.
func chosen(all []graph.ContactFolder, names []string) []string {
	parents := make(map[string]graph.ContactFolder, len(all))
	for _, f := range all {
		parents[f.ID] = f
	}
	var ids []string
	for _, f := range all {
		at, depth := f, 0
		for ; depth <= len(all); depth++ { // a circle ends too
			if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, at.Name) }) {
				ids = append(ids, f.ID)
				break
			}
			parent, there := parents[at.Parent]
			if !there {
				break
			}
			at = parent
		}
	}
	return ids
}

// folder reads one folder and remembers how far. A default folder that is not there any
// more may have another id by now.
func (m *mailboxReading) folder(ctx context.Context, f folderState, everything bool) error {
	if old, _ := m.state.folder(f.Name); old.ID != f.ID || f.At == "" && f.id() != "" {
		everything = true // it was empty, or never read to its end
	}
	next, err := m.readFolder(ctx, f, everything)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		if f.Name != defaultFolder {
			return m.gone(ctx, f.Name)
		}
		id, lost := m.r.t.client.DefaultContacts(ctx, m.who.User)
		switch {
		case lost != nil:
			return lost
		case id == f.ID:
			return fault.Errorf(fault.Unknown, "read contacts", "Graph names a folder that it does not have")
		}
		next, err = m.readFolder(ctx, folderState{Name: defaultFolder, ID: id}, true)
	}
	if err == nil {
		m.state.keep(next)
	}
	return err
}

func (m *mailboxReading) readFolder(ctx context.Context, f folderState, everything bool) (folderState, error) {
	if m.r.t.conf.ContactChanges {
		return m.changes(ctx, f, everything)
	}
	return m.list(ctx, f, everything)
}

// gone says that a folder is not there any more, or not asked for.
func (m *mailboxReading) gone(ctx context.Context, name string) error {
	if _, known := m.state.folder(name); !known {
		return nil
	}
	page := m.begin(name, false).page(m.r.t.p.bus.Now())
	page.First, page.Last, page.FolderGone = true, true, true
	if err := m.publish(ctx, *page); err != nil {
		return err
	}
	m.state.drop(name)
	return nil
}

package pbxsim

import (
	"encoding/json"
	"net/http"

	"offhook.dev/libs/core/identity"
)

// contactFields are the fields of an entry.
var contactFields = append([]string{"Id", "ContactType"}, entryFields[:]...)

// contactShape is what can be written of an entry.
var contactShape = func() shape {
	s := shape{"Id": int32(0), "ContactType": ""}
	for _, name := range entryFields {
		s[name] = ""
	}
	return s
}()

func describe(e *entry) row {
	told := row{"Id": e.id, "ContactType": "3CX"}
	for i, name := range entryFields {
		told[name] = orNull(e.texts[i])
	}
	return told
}

func (s *Sim) companyBook(w http.ResponseWriter, r request, _ string) { s.book(w, r, "") }

// personalBook is there since 20.0.9.
func (s *Sim) personalBook(w http.ResponseWriter, r request, owner string) {
	s.book(w, r, identity.Extension(owner))
}

func (s *Sim) book(w http.ResponseWriter, r request, owner identity.Extension) {
	s.collection(w, r, contactFields, nil, func(query) (rows, error) {
		if owner != "" && s.world.byNumber[owner] == nil {
			return rows{}, errAbsent
		}
		all := s.world.books.of[owner]
		return rows{len(all), func(i int) row { return describe(all[i]) }}, nil
	})
}

func (s *Sim) createContact(w http.ResponseWriter, r request, _ string) {
	body, err := contactShape.parse(r.body, s.config.MaxText)
	s.created(w, http.StatusCreated, "", body, err)
}

// createPersonal is there since 20.0.9.
func (s *Sim) createPersonal(w http.ResponseWriter, r request, _ string) {
	order, err := shape{"number": "", "contact": parts}.parse(r.body, s.config.MaxText)
	var body map[string]any
	if err == nil {
		raw, _ := order["contact"].(json.RawMessage)
		body, err = contactShape.parse(raw, s.config.MaxText)
	}
	if err == nil && text(order, "number") == "" {
		err = wrong("number is missing.")
	}
	s.created(w, http.StatusOK, identity.Extension(text(order, "number")), body, err)
}

// created adds an entry, and answers with it and status.
func (s *Sim) created(w http.ResponseWriter, status int, owner identity.Extension, body map[string]any, err error) {
	var made row
	if err == nil {
		made, err = s.add(owner, body)
	}
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	writeJSON(w, status, made)
}

func (s *Sim) add(owner identity.Extension, body map[string]any) (row, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	switch {
	case owner != "" && s.world.byNumber[owner] == nil:
		return nil, errAbsent
	case owner != "" && s.config.PersonalMax > 0 && len(s.world.books.of[owner]) >= s.config.PersonalMax:
		return nil, no("There are too many personal contacts.")
	}
	e := &entry{owner: owner}
	e.take(body)
	s.world.books.add(e)
	s.stats.changed("create-contact")
	return describe(e), nil
}

// take takes the members that were sent; null is empty.
func (e *entry) take(body map[string]any) {
	for name := range body {
		if name != "Id" && name != "ContactType" {
			*e.text(name) = text(body, name)
		}
	}
}

func (s *Sim) patchContact(w http.ResponseWriter, r request, key string) {
	body, err := contactShape.parse(r.body, s.config.MaxText)
	if err == nil {
		s.world.mu.Lock()
		if e := s.world.books.byID[id(key)]; e != nil {
			e.take(body)
			s.stats.changed("update-contact")
		} else {
			err = errAbsent
		}
		s.world.mu.Unlock()
	}
	s.done(w, err)
}

func (s *Sim) deleteContact(w http.ResponseWriter, _ request, key string) {
	s.world.mu.Lock()
	err := s.erase([]int32{id(key)}, true)
	s.world.mu.Unlock()
	s.done(w, err)
}

// done answers a change that has nothing to tell.
func (s *Sim) done(w http.ResponseWriter, err error) {
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// deleteContacts has one of two names: see Config.has.
func (s *Sim) deleteContacts(w http.ResponseWriter, r request, _ string) {
	ids, err := readIDs(r.body)
	if err == nil {
		s.world.mu.Lock()
		err = s.erase(ids, s.config.StrictDeletions)
		s.world.mu.Unlock()
	}
	s.done(w, err)
}

// erase deletes entries; strict is all or none. world.mu is held.
func (s *Sim) erase(ids []int32, strict bool) error {
	for _, id := range ids {
		if strict && s.world.books.byID[id] == nil {
			return errAbsent
		}
	}
	for _, id := range ids {
		if e := s.world.books.byID[id]; e != nil {
			s.world.books.remove(e)
			s.stats.changed("delete-contact")
		}
	}
	return nil
}

package portsipsim

import (
	"maps"
	"net/http"
	"slices"

	"offhook.dev/libs/core/identity"
)

// owner is whose phonebook is meant: "" is the company's.
func owner(self *user) identity.Extension {
	if self == nil {
		return ""
	}
	return self.number
}

func (e *entry) told() map[string]any {
	row := map[string]any{"id": e.id}
	for name, text := range e.texts {
		row[name] = text
	}
	return row
}

func (s *Sim) entryAt(self *user, id string) *entry {
	return first(s.world.books[owner(self)], func(e *entry) bool { return e.id == id })
}

func listEntries(s *Sim, r request, self *user, _ []string) (int, any, error) {
	query := r.URL.Query()
	if err := onlyQuery(query, "skip", "top"); err != nil {
		return 0, nil, err
	}
	rows := []any{}
	for _, e := range s.world.books[owner(self)] {
		rows = append(rows, s.tellEntry(e.told()))
	}
	return s.page(query, rows)
}

// tellEntry is an entry as it goes over the wire.
func (s *Sim) tellEntry(row map[string]any) map[string]any {
	for name := range entryShape {
		if value, there := row[name]; s.config.Nulls && (!there || value == "") {
			row[name] = nil
		}
	}
	return row
}

// parseEntry reads what an entry is to be.
func parseEntry(body []byte) (map[string]string, error) {
	order, err := entryShape.parse(body)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(order))
	for name, value := range order {
		texts[name] = value.(string)
	}
	return texts, nil
}

func createEntry(s *Sim, r request, self *user, _ []string) (int, any, error) {
	texts, err := parseEntry(r.body)
	if err != nil {
		return 0, nil, err
	}
	if texts["name"] == "" {
		return 0, nil, invalid("the field name is empty")
	}
	return http.StatusCreated, map[string]any{"id": s.world.enter(owner(self), texts)}, nil
}

func (w *world) enter(owner identity.Extension, texts map[string]string) string {
	e := &entry{id: w.id(), texts: texts}
	w.books[owner] = append(w.books[owner], e)
	return e.id
}

func getEntry(s *Sim, _ request, self *user, part []string) (int, any, error) {
	e := s.entryAt(self, part[0])
	if e == nil {
		return 0, nil, errAbsent
	}
	return http.StatusOK, s.tellEntry(e.told()), nil
}

func changeEntry(s *Sim, r request, self *user, part []string) (int, any, error) {
	texts, err := parseEntry(r.body)
	if err != nil {
		return 0, nil, err
	}
	e := s.entryAt(self, part[0])
	if e == nil {
		return 0, nil, errAbsent
	}
	if name, named := texts["name"]; named && name == "" {
		return 0, nil, invalid("the field name is empty")
	}
	if s.config.Replace {
		clear(e.texts)
	}
	maps.Copy(e.texts, texts)
	return http.StatusOK, nil, nil
}

func destroyEntry(s *Sim, _ request, self *user, part []string) (int, any, error) {
	if s.entryAt(self, part[0]) == nil {
		return 0, nil, errAbsent
	}
	whose := owner(self)
	s.world.books[whose] = slices.DeleteFunc(s.world.books[whose], func(e *entry) bool { return e.id == part[0] })
	return http.StatusNoContent, nil, nil
}

package pbxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"
)

// refuse answers with an OData error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has left: its matter
}

// rows is a collection in the order of its keys: the i-th of n.
type rows struct {
	n  int
	at func(i int) row
}

// page applies q. An order that nobody asked for is not even the same twice.
func (s *Sim) page(q query, all rows) (page []row, total int) {
	if q.filter == nil && q.order == "Id" && !q.down { // the order they are in: do not describe 20,000 to show 100
		from := min(q.skip, all.n)
		to := all.n
		if q.top >= 0 {
			to = min(from+q.top, all.n)
		}
		page = make([]row, 0, to-from)
		for i := from; i < to; i++ {
			page = append(page, q.choose(all.at(i)))
		}
		return page, all.n
	}
	page = make([]row, 0, all.n)
	for i := range all.n {
		page = append(page, all.at(i))
	}
	if s.disorder.Add(1)%2 == 0 && q.order == "" {
		slices.Reverse(page)
	}
	return q.page(page)
}

// collection answers with a page. read runs with world.mu held.
func (s *Sim) collection(w http.ResponseWriter, r request, known, expandable []string, read func(query) (rows, error)) {
	q, err := parseQuery(r.URL.Query(), known, expandable...)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	s.world.mu.Lock()
	all, err := read(q)
	var page []row
	var total int
	if err == nil {
		page, total = s.page(q, all)
	}
	s.world.mu.Unlock()
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	body := map[string]any{"@odata.context": "https://" + r.Host + base + "/$metadata", "value": page}
	if q.count {
		body["@odata.count"] = total
	}
	writeJSON(w, http.StatusOK, body)
}

// one answers with an entity. read runs with world.mu held; nil is none.
func (s *Sim) one(w http.ResponseWriter, r request, known []string, read func() row) (told bool) {
	q, err := parseQuery(r.URL.Query(), known)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return false
	}
	s.world.mu.Lock()
	entity := read()
	s.world.mu.Unlock()
	if entity == nil {
		s.refuseFor(w, errAbsent)
		return false
	}
	writeJSON(w, http.StatusOK, q.choose(entity))
	return true
}

// refusal is why a request is not carried out.
type refusal struct {
	status  int // 0: Config.Refusal
	message string
}

func (r refusal) Error() string { return r.message }

// no refuses what is understood and not allowed.
func no(format string, args ...any) error { return refusal{0, fmt.Sprintf(format, args...)} }

// wrong refuses what is not understood.
func wrong(format string, args ...any) error {
	return refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var errAbsent = refusal{http.StatusNotFound, "The resource was not found."}

func (s *Sim) refuseFor(w http.ResponseWriter, err error) {
	var r refusal
	if !errors.As(err, &r) {
		r = refusal{http.StatusInternalServerError, err.Error()}
	}
	switch r.status {
	case 0:
		refuse(w, s.config.Refusal, "NotAllowed", r.message)
	case http.StatusNotFound:
		refuse(w, r.status, "NotFound", r.message)
	default:
		refuse(w, r.status, "BadRequest", r.message)
	}
}

// shape is what the body of a request may hold: its members and their types, as
// examples.
type shape map[string]any

// parts are examples of an object or list that is read by whoever needs it.
var parts = json.RawMessage{}

// parse reads a body. Null is nil; the rest has the type of its example. Texts are no
// longer than limit characters.
func (s shape) parse(data []byte, limit int) (map[string]any, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, wrong("The body is not a JSON object.")
	}
	parsed := make(map[string]any, len(members))
	for name, raw := range members {
		example, known := s[name]
		if !known {
			return nil, wrong("The property %q does not exist.", name)
		}
		if string(raw) == "null" {
			parsed[name] = nil
			continue
		}
		var err error
		switch example.(type) {
		case string:
			var text string
			err = json.Unmarshal(raw, &text)
			if utf8.RuneCountInString(text) > limit {
				return nil, wrong("%s is longer than %d characters.", name, limit)
			}
			parsed[name] = text
		case bool:
			var flag bool
			err = json.Unmarshal(raw, &flag)
			parsed[name] = flag
		case int32:
			var number int32
			err = json.Unmarshal(raw, &number)
			parsed[name] = number
		default:
			parsed[name] = raw
		}
		if err != nil {
			return nil, wrong("The property %q has the wrong type.", name)
		}
	}
	return parsed, nil
}

// text is a member that is a text, "" without one.
func text(body map[string]any, name string) string {
	value, _ := body[name].(string)
	return value
}

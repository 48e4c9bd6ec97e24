package portsipsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// root is where the REST interface lives.
const root = "/api"

// refusal is why a request is not carried out.
type refusal struct {
	status  int // 0: Config.Refusal; -1: Config.Absent
	code    string
	message string
}

func (r refusal) Error() string { return r.message }

// invalid refuses what is not as described, no what is not allowed.
func invalid(format string, args ...any) error {
	return refusal{http.StatusBadRequest, "VALIDATE_FAILED", fmt.Sprintf(format, args...)}
}

func no(code, format string, args ...any) error {
	return refusal{0, code, fmt.Sprintf(format, args...)}
}

var errAbsent = refusal{-1, "UNKNOWN", "the resource was not found"}

// errorBody answers with an error of the vendor's kind.
func errorBody(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "message": message, "detail": nil}}})
}

func (s *Sim) refuse(w http.ResponseWriter, status int, code, message string) {
	errorBody(w, status, code, message)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has left: its matter
}

// answerer answers one kind of request. self is the user who asks, nil the
// administrator; part are the parts of the path in braces. With a nil body the answer
// has none. Sim.state is held.
type answerer func(s *Sim, r request, self *user, part []string) (status int, body any, err error)

// routes are the resources, by method and path.
var routes = []struct {
	method, path string
	self         bool // of whoever asks; else of the administrator only
	answer       answerer
}{
	{"GET", "/users", false, listUsers},
	{"POST", "/users", false, createUser},
	{"GET", "/users/{id}", false, getUser},
	{"POST", "/users/{id}", false, changeUser},
	{"POST", "/users/{id}/destroy", false, destroyUser},
	{"GET", "/users/{id}/status", false, statusOfUser},
	{"POST", "/users/{id}/ms365_binding", false, bindUser},
	{"POST", "/users/{id}/ms365_binding/destroy", false, unbindUser},
	{"POST", "/user/presence", true, setPresence},
	{"GET", "/user", true, getSelf},
	{"POST", "/user", true, changeSelf},
	{"POST", "/blobs/uploads", true, beginUpload},
	{"POST", "/blobs/uploads/{id}/append", true, appendUpload},
	{"POST", "/blobs/uploads/{id}/complete", true, completeUpload},
	{"GET", "/user/status", true, statusOfSelf},
	{"GET", "/extension_numbers/{n}", false, getNumber},
	{"GET", "/tenant", false, getTenant},
	{"GET", "/info", true, getInfo},
	{"GET", "/ms365", false, getMS365},
	{"GET", "/groups", false, listGroups},
	{"POST", "/groups", false, createGroup},
	{"GET", "/groups/{id}/members", false, listMembers},
	{"GET", "/groups/{id}/members/{n}", false, getMember},
	{"POST", "/groups/{id}/members/{n}", false, addMember},
	{"POST", "/groups/{id}/members/{n}/destroy", false, destroyMember},
	{"GET", "/contacts", false, listEntries},
	{"POST", "/contacts", false, createEntry},
	{"GET", "/contacts/{id}", false, getEntry},
	{"POST", "/contacts/{id}", false, changeEntry},
	{"POST", "/contacts/{id}/destroy", false, destroyEntry},
	{"GET", "/user/contacts", true, listEntries},
	{"POST", "/user/contacts", true, createEntry},
	{"GET", "/user/contacts/{id}", true, getEntry},
	{"POST", "/user/contacts/{id}", true, changeEntry},
	{"POST", "/user/contacts/{id}/destroy", true, destroyEntry},
}

// patterns are the paths of routes as expressions.
var patterns = func() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, route := range routes {
		all = append(all, regexp.MustCompile("^"+regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(route.path, "([^/]+)")+"$"))
	}
	return all
}()

// answer answers a request to the REST interface.
func (s *Sim) answer(w http.ResponseWriter, r request) {
	path, ok := strings.CutPrefix(r.URL.Path, root)
	if !ok {
		http.NotFound(w, r.Request)
		return
	}
	if strings.HasPrefix(path, "/auth/") {
		s.answerSignIn(w, r, path)
		return
	}
	s.state.Lock()
	status, body, err := s.route(r, path)
	s.state.Unlock()
	var why refusal
	switch {
	case errors.As(err, &why):
		switch why.status {
		case 0:
			why.status = s.config.Refusal
		case -1:
			why.status = s.config.Absent
		}
		if s.config.EchoBodies {
			why.message += ": " + string(r.body)
		}
		s.refuse(w, why.status, why.code, why.message)
	case err != nil:
		s.refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
	case body == nil:
		w.WriteHeader(status)
	default:
		if headers, ok := body.(withHeader); ok {
			for name, value := range headers {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			return
		}
		writeJSON(w, status, body)
	}
}

func (s *Sim) route(r request, path string) (int, any, error) {
	who, self, ok := s.bearer(r)
	if !ok {
		return 0, nil, refusal{http.StatusUnauthorized, "UNAUTHORIZED", "unauthorized"}
	}
	for i, route := range routes {
		part := patterns[i].FindStringSubmatch(path)
		if part == nil || route.method != r.Method {
			continue
		}
		if route.self != self && path != "/info" {
			return 0, nil, refusal{http.StatusForbidden, "FORBIDDEN", "permission denied"}
		}
		return route.answer(s, r, who, part[1:])
	}
	return 0, nil, refusal{http.StatusNotFound, "UNKNOWN", "no such resource"}
}

// top is the most that a page holds.
const top = 100

// page is a part of a collection, as skip and top of the query ask for it.
func (s *Sim) page(query url.Values, rows []any) (int, any, error) {
	skip, count := 0, top
	for name, into := range map[string]*int{"skip": &skip, "top": &count} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || name == "top" && (n < 1 || n > top) {
				return 0, nil, invalid("%s is out of range", name)
			}
			*into = n
		}
	}
	if s.config.FromOne {
		skip = max(0, skip-1)
	}
	if s.config.Newest {
		rows = slices.Clone(rows)
		slices.Reverse(rows)
	}
	from := min(skip, len(rows))
	return http.StatusOK, map[string]any{"count": len(rows), "items": rows[from:min(from+count, len(rows))]}, nil
}

// onlyQuery refuses query options that there are not.
func onlyQuery(query url.Values, names ...string) error {
	for name := range query {
		if !slices.Contains(names, name) {
			return invalid("the option %s is unknown", name)
		}
	}
	return nil
}

var comparison = regexp.MustCompile(`^([a-z_]+) (eq|ne) ('(?:[^']|'')*'|true|false)$`)

// filtered are the rows that a filter lets through. One comparison is all that is
// understood here.
func (s *Sim) filtered(filter string, told []string, rows []map[string]any) ([]any, error) {
	match := comparison.FindStringSubmatch(filter)
	if filter != "" && match == nil {
		return nil, invalid("the filter is not understood")
	}
	all := []any{}
	for _, row := range rows {
		if match == nil || s.config.FilterDND && match[1] == "enable_dnd" || slices.Contains(told, match[1]) {
			if match == nil || compare(row[match[1]], match[2], match[3]) {
				all = append(all, s.tell(only(row, told)))
			}
			continue
		}
		if s.config.Strict {
			return nil, invalid("the filter names %s, which is unknown", match[1])
		}
		all = append(all, s.tell(only(row, told)))
	}
	return all, nil
}

func compare(value any, op, literal string) bool {
	same := fmt.Sprint(value) == literal
	if text, ok := quoted(literal); ok {
		same = value == text
	}
	return same == (op == "eq")
}

func only(row map[string]any, names []string) map[string]any {
	chosen := make(map[string]any, len(names))
	for _, name := range names {
		if value, there := row[name]; there {
			chosen[name] = value
		}
	}
	return chosen
}

// tell is a row as it goes over the wire.
func (s *Sim) tell(row map[string]any) map[string]any {
	if !s.config.Nulls {
		return row
	}
	row = maps.Clone(row)
	for name := range userShape {
		if value, there := row[name]; !there || value == "" {
			row[name] = nil
		}
	}
	return row
}

// numberOf is a part of a path that is the number of an extension.
func (s *Sim) numberOf(text string) (identity.Extension, error) {
	if !numberShape.MatchString(text) {
		return "", invalid("the extension number has 3 to 64 digits")
	}
	return identity.Extension(text), nil
}

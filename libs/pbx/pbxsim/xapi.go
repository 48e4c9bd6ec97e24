package pbxsim

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// base is where the Configuration API lives.
const base = "/xapi/v1"

var (
	userByID     = regexp.MustCompile(`^/Users\((-?\d{1,10})\)$`)
	userByNumber = regexp.MustCompile(`^/Users\(Number='((?:[^']|'')*)'\)$`)
	profilesOf   = regexp.MustCompile(`^/Users\((-?\d{1,10})\)/ForwardingProfiles$`)
)

// face routes a request as 3CX does.
func (s *Sim) face(w http.ResponseWriter, r request) {
	if r.token() {
		s.tokens.issue(w, r)
		return
	}
	if r.URL.Path == callControl || strings.HasPrefix(r.URL.Path, callControl+"/") {
		s.callControl(w, r)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, base)
	if !ok {
		http.NotFound(w, r.Request)
		return
	}
	if !s.tokens.valid(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	read := r.Method == http.MethodGet
	switch {
	case path == "/Users" && read:
		s.users(w, r)
	case path == "/SystemStatus" && read:
		s.singleton(w, r, row{"Id": int32(0), "Version": s.config.Version, "FQDN": r.Host, "Activated": true})
	case path == "/Microsoft365Integration" && read:
		s.singleton(w, r, s.integration())
	case userByID.MatchString(path):
		id, err := strconv.ParseInt(userByID.FindStringSubmatch(path)[1], 10, 32)
		s.user(w, r, func() *extension {
			if err != nil {
				return nil
			}
			return s.world.find(int32(id))
		})
	case userByNumber.MatchString(path) && read:
		number := strings.ReplaceAll(userByNumber.FindStringSubmatch(path)[1], "''", "'")
		s.user(w, r, func() *extension { return s.world.byNumber[identity.Extension(number)] })
	case profilesOf.MatchString(path) && read:
		s.profiles(w, r, profilesOf.FindStringSubmatch(path)[1])
	default:
		refuse(w, http.StatusNotFound, "NotFound", "No such resource: "+r.Method+" "+r.URL.Path)
	}
}

// Fields of a user, of which the last two are secrets: they go out when a client
// does not say what it needs, as the real ones do.
var userFields = []string{"Id", "Number", "FirstName", "LastName", "DisplayName", "EmailAddress", "Enabled",
	"CurrentProfileName", "QueueStatus", "IsRegistered", "AuthPassword", "VMPIN"}

var secretFields = []string{"AuthPassword", "VMPIN"}

// entity describes an extension. world.mu is held.
func (s *Sim) entity(e *extension) row {
	return row{"Id": e.id, "Number": string(e.Number), "FirstName": e.FirstName, "LastName": e.LastName,
		"DisplayName": e.DisplayName, "EmailAddress": e.Mail, "Enabled": e.Enabled,
		"CurrentProfileName": s.profileName(e.Status), "QueueStatus": "LoggedIn", "IsRegistered": true,
		"AuthPassword": "canary-" + string(e.Number), "VMPIN": "0000"}
}

// profileName is the profile that shows a status. Unset is one of the
// administrator's own that no status stands for.
func (s *Sim) profileName(status presence.Status) string {
	for _, p := range s.config.Profiles {
		if p.Status == status {
			return p.Name
		}
	}
	return "Holiday rota"
}

// users answers the collection. Without $orderby the order is not even the same
// twice.
func (s *Sim) users(w http.ResponseWriter, r request) {
	q, err := parseQuery(r.URL.Query(), userFields)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	page, total := s.pageOfUsers(q)
	s.noteSecrets(q)
	body := map[string]any{"@odata.context": "https://" + r.Host + base + "/$metadata#Users", "value": page}
	if q.count {
		body["@odata.count"] = total
	}
	writeJSON(w, http.StatusOK, body)
}

func (s *Sim) pageOfUsers(q query) (page []row, total int) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	all := s.world.extensions
	total = len(all)
	paged := q.filter == nil && q.order == "Id" && !q.down
	if paged { // the order they are in: do not describe 20,000 to show 100
		all = all[min(q.skip, len(all)):]
		if q.top >= 0 {
			all = all[:min(q.top, len(all))]
		}
	}
	rows := make([]row, 0, len(all))
	for _, e := range all {
		if paged {
			rows = append(rows, q.choose(s.entity(e)))
		} else {
			rows = append(rows, s.entity(e))
		}
	}
	if paged {
		return rows, total
	}
	if s.disorder.Add(1)%2 == 0 && q.order == "" {
		slices.Reverse(rows)
	}
	return q.page(rows)
}

// user answers or changes one entity.
func (s *Sim) user(w http.ResponseWriter, r request, find func() *extension) {
	switch r.Method {
	case http.MethodGet:
		q, err := parseQuery(r.URL.Query(), userFields)
		if err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
			return
		}
		s.world.mu.Lock()
		var entity row
		if e := find(); e != nil {
			entity = q.choose(s.entity(e))
		}
		s.world.mu.Unlock()
		if entity == nil {
			refuse(w, http.StatusNotFound, "NotFound", "User not found.")
			return
		}
		s.noteSecrets(q)
		writeJSON(w, http.StatusOK, entity)
	case http.MethodPatch:
		s.patch(w, r, find)
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The simulator cannot do this.")
	}
}

// patch takes a change of the current profile, by its exact name, and nothing
// else.
func (s *Sim) patch(w http.ResponseWriter, r request, find func() *extension) {
	var change map[string]json.RawMessage
	var name string
	if err := json.Unmarshal(r.body, &change); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", "The body is not a JSON object.")
		return
	}
	if err := json.Unmarshal(change["CurrentProfileName"], &name); err != nil || len(change) != 1 {
		refuse(w, http.StatusBadRequest, "BadRequest", "The simulator takes CurrentProfileName, a string, and nothing else.")
		return
	}
	at := slices.IndexFunc(s.config.Profiles, func(p Profile) bool { return p.Name == name })
	if at < 0 {
		refuse(w, http.StatusBadRequest, "BadRequest", "There is no forwarding profile of this name.")
		return
	}
	s.world.mu.Lock()
	e := find()
	if e != nil {
		s.world.write(e, s.config.Profiles[at].Status, r.connection)
	}
	s.world.mu.Unlock()
	if e == nil {
		refuse(w, http.StatusNotFound, "NotFound", "User not found.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// profiles answers a user's forwarding profiles, which are the same for all here.
func (s *Sim) profiles(w http.ResponseWriter, r request, id string) {
	q, err := parseQuery(r.URL.Query(), []string{"Id", "Name", "CustomName", "CustomMessage"})
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	number, err := strconv.ParseInt(id, 10, 32)
	s.world.mu.Lock()
	exists := err == nil && s.world.find(int32(number)) != nil
	s.world.mu.Unlock()
	if !exists {
		refuse(w, http.StatusNotFound, "NotFound", "User not found.")
		return
	}
	var rows []row
	for i, p := range s.config.Profiles {
		rows = append(rows, row{"Id": int32(i + 1), "Name": p.Name, "CustomName": p.CustomName, "CustomMessage": ""})
	}
	page, _ := q.page(rows)
	writeJSON(w, http.StatusOK, map[string]any{"value": page})
}

func (s *Sim) singleton(w http.ResponseWriter, r request, entity row) {
	var known []string
	for name := range entity {
		known = append(known, name)
	}
	q, err := parseQuery(r.URL.Query(), known)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, q.choose(entity))
}

// integration describes the vendor's own Microsoft 365 sync.
func (s *Sim) integration() row {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	state := s.world.sync
	return row{
		"Id": int32(0), "ApplicationId": "", "TenantId": "",
		"AdUsers": map[string]any{"IsEnabled": state.Users, "SyncPersonalContacts": state.Contacts,
			"IsSyncPhoto": state.Photos, "SyncEvents": state.Calendar, "SetTeamsPresence": state.Presence},
		"SharedMailboxesSync": map[string]any{"IsEnabled": state.Mailboxes},
	}
}

func (s *Sim) noteSecrets(q query) {
	if q.fields == nil || slices.ContainsFunc(q.fields, func(f string) bool { return slices.Contains(secretFields, f) }) {
		s.stats.servedSecret()
	}
}

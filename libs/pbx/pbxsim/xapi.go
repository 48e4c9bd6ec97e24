package pbxsim

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// base is where the Configuration API lives.
const base = "/xapi/v1"

// route is one operation of the Configuration API. In its path {id} is a number and
// {text} a quoted text.
type route struct {
	method string
	form   string // the path as it is written here
	path   *regexp.Regexp
	serve  func(s *Sim, w http.ResponseWriter, r request, key string)
}

func on(method, path string, serve func(s *Sim, w http.ResponseWriter, r request, key string)) route {
	pattern := regexp.QuoteMeta(path)
	pattern = strings.ReplaceAll(pattern, `\{id\}`, `(-?\d{1,10})`)
	pattern = strings.ReplaceAll(pattern, `\{text\}`, `'((?:[^']|'')*)'`)
	return route{method, path, regexp.MustCompile("^" + pattern + "$"), serve}
}

// routes is the Configuration API, as far as there is one here.
var routes = []route{
	on("GET", "/SystemStatus", (*Sim).systemStatus),
	on("GET", "/LicenseStatus", (*Sim).licenseStatus),
	on("GET", "/Microsoft365Integration", (*Sim).integration),
	on("GET", "/Users", (*Sim).listUsers),
	on("POST", "/Users", (*Sim).createUser),
	on("GET", "/Users({id})", (*Sim).userByID),
	on("PATCH", "/Users({id})", (*Sim).patchUser),
	on("DELETE", "/Users({id})", (*Sim).deleteUser),
	on("GET", "/Users(Number={text})", (*Sim).userByNumber),
	on("GET", "/Users({id})/ForwardingProfiles", (*Sim).profiles),
	on("GET", "/Users({id})/Groups", (*Sim).memberships),
	on("POST", "/Users/Pbx.BatchDelete", (*Sim).deleteUsers),
	on("GET", "/Users/Pbx.GetFirstAvailableExtensionNumber()", (*Sim).firstFree),
	on("GET", "/Peers(Number={text})", (*Sim).peer),
	on("GET", "/Groups", (*Sim).listGroups),
	on("POST", "/Groups", (*Sim).createGroup),
	on("GET", "/Groups({id})", (*Sim).groupByID),
	on("GET", "/DNProperties/Pbx.GetPropertiesByDn(dnNumber={text})", (*Sim).properties),
	on("POST", "/DNProperties/Pbx.CreateDNProperty", (*Sim).createProperty),
	on("POST", "/DNProperties/Pbx.UpdateDNProperty", (*Sim).updateProperty),
	on("GET", "/Contacts", (*Sim).companyBook),
	on("POST", "/Contacts", (*Sim).createContact),
	on("PATCH", "/Contacts({id})", (*Sim).patchContact),
	on("DELETE", "/Contacts({id})", (*Sim).deleteContact),
	on("POST", "/Contacts/Pbx.DeleteContactsById", (*Sim).deleteContacts),
	on("POST", "/Contacts/Pbx.BatchContactsDelete", (*Sim).deleteContacts),
	on("GET", "/Contacts/Pbx.GetContactsByNumber(number={text})", (*Sim).personalBook),
	on("POST", "/Contacts/Pbx.CreateContactByNumber", (*Sim).createPersonal),
}

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
	if path == schemaPath {
		s.serveSchema(w, r)
		return
	}
	known := false
	for _, route := range routes {
		parts := route.path.FindStringSubmatch(path)
		if parts == nil || !s.config.has(route.form) {
			continue
		}
		known = true
		if route.method == r.Method {
			route.serve(s, w, r, strings.ReplaceAll(strings.Join(parts[1:], ""), "''", "'"))
			return
		}
	}
	if known {
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The simulator cannot do this.")
		return
	}
	s.refuseUnknown(w, r)
}

func (s *Sim) refuseUnknown(w http.ResponseWriter, r request) {
	refuse(w, http.StatusNotFound, "NotFound", "No such resource: "+r.Method+" "+r.URL.Path)
}

// id reads the key of an entity; one beyond its type is of none.
func id(key string) int32 {
	n, err := strconv.ParseInt(key, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func (s *Sim) systemStatus(w http.ResponseWriter, r request, _ string) {
	s.world.mu.Lock()
	status := row{"Id": int32(0), "Version": s.config.Version, "FQDN": r.Host, "Activated": true,
		"UserExtensions": int32(len(s.world.extensions)), "ExtensionsTotal": int32(len(s.world.extensions) + len(s.world.queues)),
		"MaxUserExtensions": nil}
	if s.world.licence > 0 {
		status["MaxUserExtensions"] = int32(s.world.licence)
	}
	s.world.mu.Unlock()
	s.singleton(w, r, status)
}

// integration describes the vendor's own Microsoft 365 sync.
func (s *Sim) integration(w http.ResponseWriter, r request, _ string) {
	s.world.mu.Lock()
	state := s.world.sync
	s.world.mu.Unlock()
	s.singleton(w, r, row{
		"Id": int32(0), "ApplicationId": "", "TenantId": "",
		"AdUsers": map[string]any{"IsEnabled": state.Users, "SyncPersonalContacts": state.Contacts,
			"IsSyncPhoto": state.Photos, "SyncEvents": state.Calendar, "SetTeamsPresence": state.Presence},
		"SharedMailboxesSync": map[string]any{"IsEnabled": state.Mailboxes},
	})
}

func (s *Sim) singleton(w http.ResponseWriter, r request, entity row) {
	var known []string
	for name := range entity {
		known = append(known, name)
	}
	s.one(w, r, known, func() row { return entity })
}

// peer tells what has a number, whatever it is.
func (s *Sim) peer(w http.ResponseWriter, r request, number string) {
	s.one(w, r, []string{"Id", "Number", "Name", "Type"}, func() row {
		what := s.world.taken(identity.Extension(number))
		if what == "" {
			return nil
		}
		return row{"Id": int32(7), "Number": number, "Name": "", "Type": what}
	})
}

// groups and their keys.
var groupFields = []string{"Id", "Name", "Number", "IsDefault"}

func (s *Sim) describeGroup(g *group) row {
	return row{"Id": g.id, "Name": g.name, "Number": "GRP" + strconv.Itoa(int(g.id)), "IsDefault": g == s.world.groups[0]}
}

func (s *Sim) listGroups(w http.ResponseWriter, r request, _ string) {
	s.collection(w, r, groupFields, nil, func(query) (rows, error) {
		return rows{len(s.world.groups), func(i int) row { return s.describeGroup(s.world.groups[i]) }}, nil
	})
}

func (s *Sim) groupByID(w http.ResponseWriter, r request, key string) {
	s.one(w, r, groupFields, func() row {
		if g := s.world.group(id(key)); g != nil {
			return s.describeGroup(g)
		}
		return nil
	})
}

// createGroup makes a department of a name that there is not yet.
func (s *Sim) createGroup(w http.ResponseWriter, r request, _ string) {
	body, err := shape{"Name": "", "Language": "", "PromptSet": ""}.parse(r.body, s.config.MaxText)
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	var made row
	s.world.mu.Lock()
	if name := text(body, "Name"); name != "" && !slices.ContainsFunc(s.world.groups, func(g *group) bool { return g.name == name }) {
		made = s.describeGroup(s.world.named(name))
		s.world.changed("create-group", "", body)
		s.stats.changed("create-group")
	}
	s.world.mu.Unlock()
	if made == nil {
		s.refuseFor(w, no("A department needs a name of its own."))
		return
	}
	writeJSON(w, http.StatusCreated, made)
}

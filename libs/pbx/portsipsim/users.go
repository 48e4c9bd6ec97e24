package portsipsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"offhook.dev/libs/core/identity"
)

// summary are the members of users that lists tell.
var summary = []string{"id", "name", "enabled", "email", "display_name", "role", "mobile_phone", "work_phone", "home_phone", "address",
	"department", "extension_number", "created_at", "sync_type", "role_id", "role_name"}

func listUsers(s *Sim, r request, _ *user, _ []string) (int, any, error) {
	query := r.URL.Query()
	if err := onlyQuery(query, "filter", "search", "orderby", "skip", "top"); err != nil {
		return 0, nil, err
	}
	told := summary
	if s.config.ListsDND {
		told = append(slices.Clone(summary), "enable_dnd")
	}
	var rows []map[string]any
	for _, u := range s.world.users {
		rows = append(rows, u.fields)
	}
	all, err := s.filtered(query.Get("filter"), told, rows)
	if err != nil {
		return 0, nil, err
	}
	return s.page(query, all)
}

func createUser(s *Sim, r request, _ *user, _ []string) (int, any, error) {
	fields, err := s.world.creatable().parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	if err := checkNew(fields); err != nil {
		return 0, nil, err
	}
	number, login := identity.Extension(fields["extension_number"].(string)), fields["name"]
	switch {
	case s.world.taken(number) != "":
		return 0, nil, no("EXTENSION_NUMBER_EXISTS", "the extension number is taken")
	case first(s.world.users, func(u *user) bool { return u.fields["name"] == login }) != nil:
		return 0, nil, no("NAME_EXISTS", "the name is taken")
	case len(s.world.users) >= s.world.config.Licence:
		return 0, nil, no("LIMIT_EXCEEDED", "no more extensions can be created")
	}
	password := fields["password"].(string)
	delete(fields, "password")
	delete(fields, "extension_password")
	u := &user{number: number, fields: fields, password: password}
	s.world.add(u)
	if s.config.Linked && u.dnd() {
		u.presence = doNotDisturb
	}
	return http.StatusCreated, map[string]any{"id": u.id}, nil
}

func getUser(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	u := s.world.byID(part[0])
	if u == nil {
		return 0, nil, errAbsent
	}
	s.world.stats.Secrets++ // the PIN is always told
	told := u.copied()
	if s.config.Retrieval && s.config.Minor >= 3 {
		told["password"], told["extension_password"] = u.password, u.password
	}
	return http.StatusOK, s.tell(told), nil
}

func changeUser(s *Sim, r request, _ *user, part []string) (int, any, error) {
	change, err := s.world.changeable().parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	if name, named := change["display_name"]; named && name == "" && s.config.Minor >= 6 {
		return 0, nil, invalid("the field display_name is mandatory")
	}
	u := s.world.byID(part[0])
	if u == nil {
		return 0, nil, errAbsent
	}
	before := u.dnd()
	if s.config.Replace {
		for name := range s.world.changeable() {
			delete(u.fields, name)
		}
		maps.Copy(u.fields, defaults)
	}
	maps.Copy(u.fields, change)
	wanted := u.dnd()
	u.fields["enable_dnd"] = before
	if s.world.setDND(u, wanted) {
		s.tellPresence(u)
	}
	return http.StatusOK, nil, nil
}

func destroyUser(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	u := s.world.byID(part[0])
	switch {
	case u == nil:
		return 0, nil, errAbsent
	case u.kept:
		return 0, nil, refusal{http.StatusForbidden, "FORBIDDEN", "an administrator can only be deleted by the system administrator"}
	}
	s.world.remove(u)
	return http.StatusNoContent, nil, nil
}

func statusOfUser(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	u := s.world.byID(part[0])
	if u == nil {
		return 0, nil, errAbsent
	}
	return http.StatusOK, s.status(u), nil
}

func statusOfSelf(s *Sim, _ request, self *user, _ []string) (int, any, error) {
	return http.StatusOK, s.status(self), nil
}

// status is what is told of one user: a phone that is away or in a call hides the
// presence.
func (s *Sim) status(u *user) map[string]any {
	status, presence := "ONLINE", s.world.spelled(u.presence)
	switch {
	case u.offline:
		status, presence = "OFFLINE", "OFFLINE"
	case s.config.NoCalls:
	case u.calls > 0 && s.config.Minor >= 3:
		status, presence = "OTHER_CALL", "OTHER_CALL"
	case u.calls > 0:
		status, presence = "ON_CALL", "ON_CALL"
	case u.ringing && s.config.Minor >= 3:
		presence = "RINGING"
	}
	told := map[string]any{"status": status, "presence": presence, "presence_note": u.note, "registration": []any{}, "enable_acb": false}
	if !s.config.NoSwitch {
		told["enable_dnd"] = u.dnd()
	}
	return told
}

func setPresence(s *Sim, r request, self *user, _ []string) (int, any, error) {
	spellings := s.world.choosable()
	order, err := shape{"presence": {kind: 't', one: append(spellings, away, doNotDisturb, lunch, businessTrip)}, "presence_note": text(128)}.parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	if note, ok := order["presence_note"].(string); ok {
		self.note = note
	}
	if presence, ok := order["presence"].(string); ok {
		if slices.Contains(spellings, presence) {
			presence = available
		}
		s.world.setPresence(self, presence)
	}
	s.tellPresence(self)
	return http.StatusOK, nil, nil
}

func bindUser(s *Sim, r request, _ *user, part []string) (int, any, error) {
	order, err := shape{"id": text(0)}.parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	u, account := s.world.byID(part[0]), ""
	account, _ = order["id"].(string)
	switch {
	case u == nil:
		return 0, nil, errAbsent
	case account == "":
		return 0, nil, invalid("the field id is mandatory")
	case s.config.NoMS365:
		return 0, nil, no("MS365_DISABLED", "the integration is not configured")
	}
	u.bound = account
	return http.StatusOK, nil, nil
}

func unbindUser(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	u := s.world.byID(part[0])
	if u == nil || u.bound == "" {
		return 0, nil, errAbsent
	}
	u.bound = ""
	return http.StatusNoContent, nil, nil
}

func getNumber(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	ext, err := s.numberOf(part[0])
	if err != nil {
		return 0, nil, err
	}
	kind := s.world.taken(ext)
	if kind == "" {
		return 0, nil, refusal{http.StatusNotFound, "UNKNOWN", "the number is free"}
	}
	return http.StatusOK, map[string]any{"id": "MQ", "extension_number": ext, "name": part[0], "type": kind}, nil
}

func getTenant(s *Sim, _ request, _ *user, _ []string) (int, any, error) {
	told := map[string]any{"id": "MQ", "name": "Example", "domain": s.config.Domain, "max_extensions": s.world.config.Licence}
	if events := s.hook.settings(); events != nil {
		told["extension_event"] = events
	}
	return http.StatusOK, told, nil
}

func getInfo(s *Sim, _ request, _ *user, _ []string) (int, any, error) {
	return http.StatusOK, map[string]any{"web_domain": s.config.Domain, "enable_ipv6": false}, nil
}

func getMS365(s *Sim, _ request, _ *user, _ []string) (int, any, error) {
	if s.config.NoMS365 {
		return 0, nil, errAbsent
	}
	part := func(on bool) map[string]any {
		return map[string]any{"enabled": on, "selected_users": []any{}, "sync_type": "ALL"}
	}
	sync := s.world.sync
	users := part(sync.Users)
	users["sync_photo"] = sync.Photos
	return http.StatusOK, map[string]any{"national_cloud": "GLOBAL", "users": users, "personal_contacts": part(sync.Contacts),
		"shared_mailbox": part(sync.Mailboxes), "events": part(sync.Calendar)}, nil
}

// jsonOf is for messages of the websocket.
func jsonOf(value any) []byte {
	text, _ := json.Marshal(value) // it is all texts and numbers
	return text
}

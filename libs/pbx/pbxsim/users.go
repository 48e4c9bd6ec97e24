package pbxsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Fields of a user. The secrets among them go out when a client does not say what it
// needs, as the real ones do, or when it asks for them: see Stats.SecretsServed. Their
// values begin with "canary", so that whoever keeps one is found.
var (
	secretFields = []string{"AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"}
	userFields   = append([]string{"Id", "Number", "FirstName", "LastName", "DisplayName", "EmailAddress", "Mobile", "OutboundCallerID",
		"Language", "PromptSet", "Enabled", "PrimaryGroupId", "MS365SignInEnabled", "CurrentProfileName", "QueueStatus", "IsRegistered"}, secretFields...)
)

// entity describes an extension. world.mu is held.
func (s *Sim) entity(e *extension) row {
	return row{"Id": e.id, "Number": string(e.Number), "FirstName": e.FirstName, "LastName": e.LastName,
		"DisplayName": e.DisplayName, "EmailAddress": e.Mail, "Mobile": orNull(e.Mobile), "OutboundCallerID": orNull(e.CallerID),
		"Language": orNull(e.Language), "PromptSet": "en", "Enabled": e.Enabled, "PrimaryGroupId": e.primary, "MS365SignInEnabled": e.SignIn,
		"CurrentProfileName": s.profileName(e.Status), "QueueStatus": "LoggedIn", "IsRegistered": true,
		"AuthID": "canary-id-" + string(e.Number), "AuthPassword": "canary-" + string(e.Number), "AccessPassword": "canary-" + string(e.Number),
		"DeskphonePassword": "canary-" + string(e.Number), "VMPIN": "canary-pin-" + string(e.Number)}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
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

// listUsers answers the collection.
func (s *Sim) listUsers(w http.ResponseWriter, r request, _ string) {
	s.noteSecrets(r)
	s.collection(w, r, userFields, nil, func(q query) (rows, error) {
		all := s.world.extensions
		if len(q.numbers) > 0 { // a filter that an index answers
			all = nil
			for _, number := range q.numbers {
				if e := s.world.byNumber[identity.Extension(number)]; e != nil {
					all = append(all, e)
				}
			}
		}
		return rows{len(all), func(i int) row { return s.entity(all[i]) }}, nil
	})
}

func (s *Sim) userByID(w http.ResponseWriter, r request, key string) {
	s.user(w, r, func() *extension { return s.world.find(id(key)) })
}

func (s *Sim) userByNumber(w http.ResponseWriter, r request, number string) {
	s.user(w, r, func() *extension { return s.world.byNumber[identity.Extension(number)] })
}

func (s *Sim) user(w http.ResponseWriter, r request, find func() *extension) {
	told := s.one(w, r, userFields, func() row {
		if e := find(); e != nil {
			return s.entity(e)
		}
		return nil
	})
	if told {
		s.noteSecrets(r)
	}
}

// noteSecrets counts an answer about users that carries secrets.
func (s *Sim) noteSecrets(r request) {
	asked := r.URL.Query().Get("$select")
	fields := strings.Split(asked, ",")
	if asked == "" || slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(secretFields, f) }) {
		s.stats.servedSecret()
	}
}

// userShape is what can be written of a user.
var userShape = shape{"Id": int32(0), "Number": "", "FirstName": "", "LastName": "", "EmailAddress": "", "Mobile": "", "OutboundCallerID": "",
	"Language": "", "PromptSet": "", "Enabled": true, "MS365SignInEnabled": true, "CurrentProfileName": "", "PrimaryGroupId": int32(0), "Groups": parts}

// createUser makes an extension with what the body says and defaults for the rest,
// down to the number, and answers with all of it, the new passwords too: the vendor's
// specification has the whole entity in the answer, and no way to ask for less.
func (s *Sim) createUser(w http.ResponseWriter, r request, _ string) {
	body, err := userShape.parse(r.body, s.config.MaxText)
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	s.world.mu.Lock()
	made, err := s.makeUser(body)
	s.world.mu.Unlock()
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, made)
}

// makeUser is createUser. world.mu is held.
func (s *Sim) makeUser(body map[string]any) (row, error) {
	number := identity.Extension(text(body, "Number"))
	if number == "" {
		number = s.world.free(s.config.FirstNumber)
	}
	if _, err := identity.ParseExtension(string(number)); err != nil {
		return nil, no("This is not a number.")
	}
	if s.world.taken(number) != "" {
		return nil, no("The number is in use.")
	}
	if s.world.full() {
		return nil, no("There are too many extensions.")
	}
	e := &extension{Shown: Shown{Extension: directory.Extension{Number: number, Enabled: true}, Status: presence.Available, Since: time.Now(), By: ByStart},
		primary: s.world.groups[0].id, members: []member{{s.world.groups[0].id, usual}}}
	delete(body, "Number")
	apply, err := s.change(e, body)
	if err != nil {
		return nil, err
	}
	apply(0)
	s.world.add(e)
	s.world.changed("create-user", number, body)
	s.stats.changed("create-user")
	s.stats.madeSecrets()
	return s.entity(e), nil
}

// patchUser changes an extension, as a whole or not at all.
func (s *Sim) patchUser(w http.ResponseWriter, r request, key string) {
	body, err := userShape.parse(r.body, s.config.MaxText)
	if err == nil {
		err = func() error {
			s.world.mu.Lock()
			defer s.world.mu.Unlock()
			e := s.world.find(id(key))
			if e == nil {
				return errAbsent
			}
			apply, err := s.change(e, body)
			if err == nil {
				apply(r.connection)
			}
			return err
		}()
	}
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// change checks a change, all of it, and returns what carries it out. world.mu is held.
func (s *Sim) change(e *extension, body map[string]any) (apply func(connection uint64), err error) {
	if number, sent := body["Number"]; sent && number != string(e.Number) {
		return nil, no("The number cannot be changed.")
	}
	status, sent := body["CurrentProfileName"]
	profile := slices.IndexFunc(s.config.Profiles, func(p Profile) bool { return p.Name == status })
	if sent && profile < 0 {
		return nil, wrong("There is no forwarding profile of this name.")
	}
	members, primary := e.members, e.primary
	if raw, sent := body["Groups"].(json.RawMessage); sent { // the whole list
		if members, err = s.readMembers(raw); err != nil {
			return nil, err
		}
	}
	if id, sent := body["PrimaryGroupId"].(int32); sent {
		primary = id
	}
	if !slices.ContainsFunc(members, func(m member) bool { return m.group == primary }) {
		if len(members) > 0 {
			return nil, no("The user is not in the department that should be the first.")
		}
		members, primary = []member{{s.world.groups[0].id, usual}}, s.world.groups[0].id
	}
	return func(connection uint64) {
		for name, field := range map[string]*string{"FirstName": &e.FirstName, "LastName": &e.LastName, "EmailAddress": &e.Mail,
			"Mobile": &e.Mobile, "OutboundCallerID": &e.CallerID, "Language": &e.Language} {
			if _, sent := body[name]; sent {
				*field = text(body, name)
			}
		}
		for name, field := range map[string]*bool{"Enabled": &e.Enabled, "MS365SignInEnabled": &e.SignIn} {
			if value, sent := body[name].(bool); sent {
				*field = value
			}
		}
		e.members, e.primary = members, primary
		s.world.derive(e)
		if profile >= 0 {
			s.world.write(e, s.config.Profiles[profile].Status, connection)
		}
		if s.world.byNumber[e.Number] == e && (profile < 0 || len(body) > 1) {
			s.world.changed("update-user", e.Number, body)
			s.stats.changed("update-user")
		}
	}, nil
}

// readMembers reads a list of departments with roles.
func (s *Sim) readMembers(raw json.RawMessage) ([]member, error) {
	var list []struct {
		GroupId int32
		Rights  struct{ RoleName string }
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, wrong("Groups is not a list of departments.")
	}
	var members []member
	for _, m := range list {
		switch {
		case s.world.group(m.GroupId) == nil:
			return nil, no("There is no such department.")
		case !slices.Contains(roles, m.Rights.RoleName):
			return nil, wrong("There is no role %q.", m.Rights.RoleName)
		}
		members = append(members, member{m.GroupId, m.Rights.RoleName})
	}
	return members, nil
}

// memberships tells which departments a user is in. What a user may do there is only
// told when it is asked for.
func (s *Sim) memberships(w http.ResponseWriter, r request, key string) {
	s.collection(w, r, []string{"Id", "GroupId", "Name"}, []string{"Rights"}, func(q query) (rows, error) {
		e := s.world.find(id(key))
		if e == nil {
			return rows{}, errAbsent
		}
		return rows{len(e.members), func(i int) row {
			m := e.members[i]
			told := row{"Id": m.group, "GroupId": m.group, "Name": s.world.group(m.group).name}
			if slices.Contains(q.expand, "Rights") {
				told["Rights"] = map[string]any{"RoleName": m.role, "ShowMyPresence": true, "CanBargeIn": m.role != usual}
			}
			return told
		}}, nil
	})
}

func (s *Sim) deleteUser(w http.ResponseWriter, r request, key string) {
	s.world.mu.Lock()
	known := s.world.find(id(key)) != nil
	_, why := s.fire(id(key))
	s.world.mu.Unlock()
	switch {
	case !known:
		s.refuseFor(w, errAbsent)
	case why != "":
		s.refuseFor(w, no("%s", why))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// deleteUsers answers with those that could not be deleted, and 200.
func (s *Sim) deleteUsers(w http.ResponseWriter, r request, _ string) {
	ids, err := readIDs(r.body)
	if err != nil {
		s.refuseFor(w, err)
		return
	}
	failed := []row{}
	s.world.mu.Lock()
	for _, id := range ids {
		if number, why := s.fire(id); why != "" {
			failed = append(failed, row{"ExtensionNumber": orNull(string(number)), "Error": why})
		}
	}
	s.world.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"value": failed})
}

// fire deletes an extension; why is "" if it is gone. world.mu is held.
func (s *Sim) fire(id int32) (number identity.Extension, why string) {
	e := s.world.find(id)
	switch {
	case e == nil:
		return "", "User not found."
	case e.kept:
		return e.Number, "The extension is the destination of a rule."
	}
	s.world.remove(e)
	s.world.changed("delete-user", e.Number, nil)
	s.stats.changed("delete-user")
	return e.Number, ""
}

func readIDs(data []byte) ([]int32, error) {
	body, err := shape{"ids": parts}.parse(data, 0)
	if err != nil {
		return nil, err
	}
	var ids []int32
	if raw, ok := body["ids"].(json.RawMessage); !ok || json.Unmarshal(raw, &ids) != nil {
		return nil, wrong("ids is not a list of numbers.")
	}
	return ids, nil
}

func (s *Sim) firstFree(w http.ResponseWriter, r request, _ string) {
	s.world.mu.Lock()
	number := s.world.free(s.config.FirstNumber)
	s.world.mu.Unlock()
	s.singleton(w, r, row{"Number": string(number)})
}

// profiles answers a user's forwarding profiles, which are the same for all here: with those
// that ring unanswered calls go to voicemail, with the others all do; who has
// do-not-disturb leaves the queues.
func (s *Sim) profiles(w http.ResponseWriter, r request, key string) {
	s.collection(w, r, []string{"Id", "Name", "CustomName", "CustomMessage", "AvailableRoute", "AwayRoute", "OfficeHoursAutoQueueLogOut"}, nil, func(query) (rows, error) {
		if s.world.find(id(key)) == nil {
			return rows{}, errAbsent
		}
		return rows{len(s.config.Profiles), func(i int) row {
			p := s.config.Profiles[i]
			told := row{"Id": int32(i + 1), "Name": p.Name, "CustomName": p.CustomName, "CustomMessage": p.CustomMessage,
				"AvailableRoute": nil, "AwayRoute": nil, "OfficeHoursAutoQueueLogOut": p.Status == presence.DND}
			voicemail := row{"To": "VoiceMail", "Number": "", "External": "", "Name": ""}
			if p.Status == presence.Available || p.Status == presence.Lunch {
				told["AvailableRoute"] = row{"NoAnswerAllCalls": true, "NoAnswerInternal": voicemail, "NoAnswerExternal": voicemail}
			} else {
				told["AwayRoute"] = row{"AllHoursInternal": true, "AllHoursExternal": true, "Internal": voicemail, "External": voicemail}
			}
			return told
		}}, nil
	})
}

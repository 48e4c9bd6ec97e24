package portsipsim

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"
)

// member is what a member of a body may be.
type member struct {
	kind rune // 't' text, 'f' flag, 'o' anything else
	most int  // characters of a text; 0: any number
	one  []string
}

// shape is what a body may hold.
type shape map[string]member

func text(most int) member { return member{kind: 't', most: most} }

var (
	flag   = member{kind: 'f'}
	object = member{kind: 'o'}
)

// defaults are the values of members that nobody named.
var defaults = map[string]any{"enabled": true, "enable_dnd": false, "delivery_outbound_cid": true, "sms": "DISABLE", "enable_voicemail_pin": true}

// userShape is what a change of a user may hold, entryShape an entry of a phonebook.
var (
	userShape = shape{
		"email": text(128), "display_name": text(1024), "enabled": flag, "mobile_phone": text(32), "work_phone": text(32), "home_phone": text(32),
		"address": text(128), "department": text(128), "enable_audio_recording": flag, "enable_video_recording": flag, "enable_dnd": flag,
		"enable_acb": flag, "enable_hot_desking": flag, "anonymous_outbound_calls": flag, "delivery_outbound_cid": flag,
		"sms": {kind: 't', one: []string{"DISABLE", "ALLOW", "ALLOW_WITH_SENDER_ID"}}, "outbound_caller_ids": object, "custom_options": text(0),
		"office_hours": object, "custom_forward_rules": object, "voicemail_prompt": text(0), "enable_voicemail_pin": flag, "voicemail_pin": text(10),
		"enable_voicemail_notify": flag, "voicemail_play_datetime": text(0), "interface": text(0), "preferred_transport": text(0), "blfs": object,
		"available_office_hours_forward_rule": object, "available_non_office_hours_forward_rule": object, "available_no_answer_forward_rule": object,
		"busy_office_hours_forward_rule": object, "dnd_office_hours_forward_rule": object, "away_office_hours_forward_rule": object,
	}
	entryShape = shape{
		"name": text(64), "email": text(128), "company": text(128), "title": text(128), "business": text(128), "business2": text(128),
		"mobile_phone": text(128), "mobile_phone2": text(128), "home_phone": text(128), "home_phone2": text(128), "other": text(128),
		"business_fax": text(128), "home_fax": text(128), "address": text(128), "notes": text(1024),
	}
)

// changeable is what a change of a user may hold in this version.
func (w *world) changeable() shape {
	s := maps.Clone(userShape)
	if w.config.Minor >= 3 {
		s["enable_uc_app"], s["enable_teams_phone_app"], s["enable_ai_transcript"] = flag, flag, flag
	}
	if w.config.Minor >= 6 {
		s["display_name"] = text(128)
	}
	return s
}

// creatable is what a creation of a user may hold, and mandatory what it must.
func (w *world) creatable() shape {
	s := w.changeable()
	maps.Copy(s, shape{"name": text(64), "password": text(0), "role": text(64), "extension_number": text(64), "extension_password": text(0)})
	return s
}

var mandatory = []string{"name", "display_name", "password", "email", "role", "extension_number", "extension_password", "voicemail_pin"}

// parse reads a body. Null is as good as absent.
func (s shape) parse(body []byte) (map[string]any, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, invalid("the body is no JSON object")
	}
	parsed := make(map[string]any, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m, known := s[name]
		if !known {
			return nil, invalid("the field %s is unknown", name)
		}
		var value any
		if err := json.Unmarshal(members[name], &value); err != nil {
			return nil, invalid("the field %s is no JSON", name)
		}
		if value == nil {
			continue
		}
		if err := m.check(name, value); err != nil {
			return nil, err
		}
		parsed[name] = value
	}
	return parsed, nil
}

func (m member) check(name string, value any) error {
	switch m.kind {
	case 't':
		text, ok := value.(string)
		switch {
		case !ok:
			return invalid("the field %s is no text", name)
		case m.most > 0 && utf8.RuneCountInString(text) > m.most:
			return invalid("the field %s is longer than %d characters", name, m.most)
		case m.one != nil && !slices.Contains(m.one, text):
			return invalid("the field %s has no such value", name)
		}
	case 'f':
		if _, ok := value.(bool); !ok {
			return invalid("the field %s is neither true nor false", name)
		}
	}
	return nil
}

var (
	loginShape  = regexp.MustCompile(`^[A-Za-z0-9_'-]([A-Za-z0-9_.'-]*[A-Za-z0-9_'-])?$`)
	numberShape = regexp.MustCompile(`^[0-9]{3,64}$`)
	pinShape    = regexp.MustCompile(`^[0-9]{6,10}$`)
	upper       = regexp.MustCompile(`[A-Z]`)
	lower       = regexp.MustCompile(`[a-z]`)
	digit       = regexp.MustCompile(`[0-9]`)
)

// checkNew says what of a new user is not allowed.
func checkNew(fields map[string]any) error {
	for _, name := range mandatory {
		if _, there := fields[name]; !there {
			return invalid("the field %s is mandatory", name)
		}
	}
	text := func(name string) string { return fields[name].(string) }
	switch {
	case !loginShape.MatchString(text("name")):
		return invalid("the name may hold letters, numbers and _-'.")
	case slices.Contains([]string{"admin", "system", "administrator", "root"}, text("name")):
		return invalid("the name is reserved")
	case !numberShape.MatchString(text("extension_number")):
		return invalid("the extension number has 3 to 64 digits")
	case text("role") != "StandardUser" && text("role") != "StandardInternationalUser" && text("role") != "QueueManager":
		return invalid("there is no such role")
	case text("display_name") == "":
		return invalid("the display name is empty")
	case !pinAllowed(text("voicemail_pin")):
		return invalid("the PIN is against the policy")
	}
	for _, name := range []string{"password", "extension_password"} {
		if p := text(name); len(p) < 8 || !upper.MatchString(p) || !lower.MatchString(p) || !digit.MatchString(p) {
			return invalid("the %s is against the policy", name)
		}
	}
	return nil
}

// pinAllowed: no digit thrice in a row, and no three that count up or down.
func pinAllowed(pin string) bool {
	if !pinShape.MatchString(pin) {
		return false
	}
	for i := 2; i < len(pin); i++ {
		a, b := int(pin[i-1])-int(pin[i-2]), int(pin[i])-int(pin[i-1])
		if a == b && a >= -1 && a <= 1 {
			return false
		}
	}
	return true
}

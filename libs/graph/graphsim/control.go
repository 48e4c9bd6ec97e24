package graphsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// Control returns the handler of /sim/v1/: what Tenant's methods do, over HTTP. It
// asks for no credentials; serve it on loopback only. Errors are
// {"error":{"code","message"}} with status 400 or 404; the message says what is
// wrong, where, and how to put it right.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sim/v1/tenants", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.describe()) })
	mux.HandleFunc("GET /sim/v1/requests", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Requests()) })
	mux.HandleFunc("GET /sim/v1/endpoints", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Endpoints()) })
	operations := map[string]controlOperation{
		"GET users":                               controlUsers,
		"POST users":                              controlAddUser,
		"GET users/{user}":                        controlUser,
		"PATCH users/{user}":                      controlEditUser,
		"DELETE users/{user}":                     controlDeleteUser,
		"POST users/{user}/restore":               func(t *Tenant, r *http.Request) (any, error) { return nil, t.RestoreUser(r.PathValue("user")) },
		"GET users/{user}/presence":               controlPresence,
		"PUT users/{user}/presence":               controlSetPresence,
		"PUT users/{user}/preferred":              controlPrefer,
		"DELETE users/{user}/preferred":           controlUnprefer,
		"PUT users/{user}/licence":                controlLicence(true),
		"DELETE users/{user}/licence":             controlLicence(false),
		"GET writes":                              func(t *Tenant, _ *http.Request) (any, error) { return t.PresenceWrites(), nil },
		"GET violations":                          func(t *Tenant, _ *http.Request) (any, error) { return t.Violations(), nil },
		"GET truth":                               func(t *Tenant, _ *http.Request) (any, error) { return t.Truth(), nil },
		"GET ledger":                              func(t *Tenant, _ *http.Request) (any, error) { return t.Ledger(), nil },
		"GET subscriptions":                       func(t *Tenant, _ *http.Request) (any, error) { return t.Subscriptions(), nil },
		"DELETE subscriptions/{subscription}":     controlRemoveSubscription,
		"POST subscriptions/{subscription}/event": controlLifecycle,
		"GET faults":                              controlFaults,
		"POST faults":                             controlFault,
		"DELETE faults":                           func(t *Tenant, _ *http.Request) (any, error) { t.ClearFaults(); return nil, nil },
		"DELETE faults/{fault}":                   controlClearFault,
		"GET switches":                            func(t *Tenant, _ *http.Request) (any, error) { return t.Switches(), nil },
		"PATCH switches":                          controlSwitch,
		"POST deltas/expire":                      func(t *Tenant, _ *http.Request) (any, error) { t.ExpireDeltas(); return nil, nil },
		"PUT apps/{app}/permissions/{role}":       controlGrant,
		"DELETE apps/{app}/permissions/{role}":    controlRevoke,
		"POST accounts":                           controlAccount,
		"POST accounts/{user}/revoke":             controlAccountEnd((*Tenant).RevokeAccount),
		"POST accounts/{user}/mfa":                controlAccountEnd((*Tenant).RequireMFA),
		"GET devices":                             func(t *Tenant, _ *http.Request) (any, error) { return t.Devices(), nil },
		"POST devices/{code}":                     controlDevice,
		"POST storm":                              controlStorm,
	}
	maps.Copy(operations, calendarOperations())
	maps.Copy(operations, groupOperations())
	maps.Copy(operations, contactOperations())
	for pattern, serve := range operations {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /sim/v1/tenants/{tenant}/"+path, s.control(serve))
	}
	return mux
}

// controlOperation answers a request about a tenant; a nil answer is 204.
type controlOperation func(*Tenant, *http.Request) (any, error)

func (s *Server) control(serve controlOperation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t := s.Tenant(r.PathValue("tenant"))
		if t == nil {
			names := make([]string, len(s.tenants))
			for i, each := range s.tenants {
				names[i] = firstLabel(each.domain)
			}
			writeControlError(w, fmt.Errorf("tenant %q: %w (there are: %s)", r.PathValue("tenant"), ErrNotFound, strings.Join(names, ", ")))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		body, err := serve(t, r)
		switch {
		case err != nil:
			writeControlError(w, err)
		case body == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			writeJSON(w, http.StatusOK, body)
		}
	}
}

func writeControlError(w http.ResponseWriter, err error) {
	status, code := http.StatusBadRequest, "invalid"
	if errors.Is(err, ErrNotFound) {
		status, code = http.StatusNotFound, "not-found"
	}
	writeJSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": err.Error()}})
}

// read decodes a JSON body strictly: an unknown member is a mistake worth telling.
func read[T any](r *http.Request, example string) (T, error) {
	var body T
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	if err == nil && decoder.Decode(new(any)) != io.EOF {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return body, fmt.Errorf("body of %s %s: %w; send JSON like %s", r.Method, r.URL.Path, err, example)
	}
	return body, nil
}

type tenantDescription struct {
	ID     string   `json:"id"` // how the other paths may name it
	DirID  string   `json:"directoryId"`
	Domain string   `json:"domain"`
	Name   string   `json:"name"`
	Users  int      `json:"users"`
	Apps   []string `json:"apps"` // client ids
}

func (s *Server) describe() []tenantDescription {
	list := []tenantDescription{}
	for _, t := range s.tenants {
		t.mu.RLock()
		d := tenantDescription{firstLabel(t.domain), t.id, t.domain, t.name, len(t.byID), []string{}}
		t.mu.RUnlock()
		for _, a := range t.apps {
			d.Apps = append(d.Apps, a.ClientID)
		}
		list = append(list, d)
	}
	return list
}

// foundUser is a user with its presence, for lists.
type foundUser struct {
	User
	Presence Presence `json:"presence"`
}

func controlUsers(t *Tenant, r *http.Request) (any, error) {
	limit := 100
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("limit %q is not a number of 1 or more", text)
		}
		limit = n
	}
	list := []foundUser{}
	for _, u := range t.Users(r.FormValue("search"), limit) {
		if p, err := t.Presence(u.ID); err == nil { // else deleted meanwhile
			list = append(list, foundUser{u, p})
		}
	}
	return list, nil
}

func controlUser(t *Tenant, r *http.Request) (any, error) { return t.User(r.PathValue("user")) }

func controlAddUser(t *Tenant, r *http.Request) (any, error) {
	u, err := read[User](r, `{"userPrincipalName":"kim@`+t.domain+`","givenName":"Kim","surname":"Novak","accountEnabled":true}`)
	if err != nil {
		return nil, err
	}
	return t.AddUser(u)
}

// userEdit has what is to be changed; nil is what it was.
type userEdit struct {
	DisplayName       *string   `json:"displayName"`
	GivenName         *string   `json:"givenName"`
	Surname           *string   `json:"surname"`
	Mail              *string   `json:"mail"`
	JobTitle          *string   `json:"jobTitle"`
	Department        *string   `json:"department"`
	MobilePhone       *string   `json:"mobilePhone"`
	BusinessPhones    *[]string `json:"businessPhones"`
	PreferredLanguage *string   `json:"preferredLanguage"`
	AccountEnabled    *bool     `json:"accountEnabled"`
	UserType          *string   `json:"userType"`
}

func (e userEdit) apply(u *User) {
	replace(&u.DisplayName, e.DisplayName)
	replace(&u.GivenName, e.GivenName)
	replace(&u.Surname, e.Surname)
	replace(&u.Mail, e.Mail)
	replace(&u.JobTitle, e.JobTitle)
	replace(&u.Department, e.Department)
	replace(&u.MobilePhone, e.MobilePhone)
	replace(&u.BusinessPhones, e.BusinessPhones)
	replace(&u.PreferredLanguage, e.PreferredLanguage)
	replace(&u.AccountEnabled, e.AccountEnabled)
	replace(&u.UserType, e.UserType)
}

func controlEditUser(t *Tenant, r *http.Request) (any, error) {
	e, err := read[userEdit](r, `{"department":"Sales","accountEnabled":false}`)
	if err != nil {
		return nil, err
	}
	if err := t.EditUser(r.PathValue("user"), e.apply); err != nil {
		return nil, err
	}
	return t.User(r.PathValue("user"))
}

func controlDeleteUser(t *Tenant, r *http.Request) (any, error) {
	return nil, t.DeleteUser(r.PathValue("user"), r.FormValue("soft") != "true")
}

func controlLicence(licensed bool) controlOperation {
	return func(t *Tenant, r *http.Request) (any, error) {
		return nil, t.SetLicensed(r.PathValue("user"), licensed)
	}
}

func controlPresence(t *Tenant, r *http.Request) (any, error) { return t.Presence(r.PathValue("user")) }

func controlSetPresence(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Availability string `json:"availability"`
		Activity     string `json:"activity"`
	}](r, `{"availability":"Busy","activity":"InAMeeting"}`)
	if err != nil {
		return nil, err
	}
	if err := t.SetPresence(r.PathValue("user"), body.Availability, body.Activity); err != nil {
		return nil, err
	}
	return t.Presence(r.PathValue("user"))
}

func controlRemoveSubscription(t *Tenant, r *http.Request) (any, error) {
	return nil, t.RemoveSubscription(r.PathValue("subscription"))
}

func controlLifecycle(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Event string `json:"event"`
	}](r, `{"event":"reauthorizationRequired"}`)
	if err != nil {
		return nil, err
	}
	return nil, t.NotifyLifecycle(r.PathValue("subscription"), body.Event)
}

func controlSwitch(t *Tenant, r *http.Request) (any, error) {
	next := t.Switches()
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&next); err != nil {
		return nil, fmt.Errorf("body of PATCH %s: %w; send JSON like {\"unknownIds\":\"error\"}", r.URL.Path, err)
	}
	if err := t.Switch(func(s *Switches) { *s = next }); err != nil {
		return nil, err
	}
	return t.Switches(), nil
}

func controlGrant(t *Tenant, r *http.Request) (any, error) {
	return nil, t.Grant(r.PathValue("app"), r.PathValue("role"))
}

func controlRevoke(t *Tenant, r *http.Request) (any, error) {
	return nil, t.Revoke(r.PathValue("app"), r.PathValue("role"))
}

func controlAccount(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		User         string   `json:"user"`
		ClientID     string   `json:"clientId"`
		RefreshToken string   `json:"refreshToken"`
		Scopes       []string `json:"scopes"`
	}](r, `{"user":"zoe","refreshToken":"anything"}`)
	if err != nil {
		return nil, err
	}
	return nil, t.AddAccount(Account{body.User, body.ClientID, secret.NewValue(body.RefreshToken), body.Scopes})
}

func controlAccountEnd(end func(*Tenant, string) error) controlOperation {
	return func(t *Tenant, r *http.Request) (any, error) { return nil, end(t, r.PathValue("user")) }
}

func controlDevice(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		User    string `json:"user"`
		Decline bool   `json:"decline"`
	}](r, `{"user":"zoe"}`)
	if err != nil {
		return nil, err
	}
	if body.Decline {
		return nil, t.DeclineDevice(r.PathValue("code"))
	}
	return nil, t.ApproveDevice(r.PathValue("code"), body.User)
}

func controlStorm(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Changes int      `json:"changes"`
		Rate    float64  `json:"rate"`
		Users   []string `json:"users"`
		Seed    uint64   `json:"seed"`
	}](r, `{"changes":1000,"rate":100}`)
	if err != nil {
		return nil, err
	}
	return t.Storm(r.Context(), Storm(body))
}

// faultBody is a Fault in JSON, with durations as in "1.5s".
type faultBody struct {
	ID           int       `json:"id,omitempty"`
	Kind         FaultKind `json:"kind"`
	Path         string    `json:"path,omitempty"`
	Status       int       `json:"status,omitempty"`
	RetryAfter   string    `json:"retryAfter,omitempty"`
	RetryDate    duration  `json:"retryDate,omitempty"`
	Delay        duration  `json:"delay,omitempty"`
	Probability  float64   `json:"probability,omitempty"`
	Count        int       `json:"count,omitempty"`
	For          duration  `json:"for,omitempty"`
	User         string    `json:"user,omitempty"`
	Subscription string    `json:"subscription,omitempty"`
	Resource     string    `json:"resource,omitempty"`
	Hits         int       `json:"hits,omitempty"`
}

type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

func controlFault(t *Tenant, r *http.Request) (any, error) {
	b, err := read[faultBody](r, `{"kind":"status","status":429,"retryAfter":"2.5","count":3}`)
	if err != nil {
		return nil, err
	}
	id, err := t.Fault(Fault{Kind: b.Kind, Path: b.Path, User: b.User, Status: b.Status, RetryAfter: b.RetryAfter, RetryDate: time.Duration(b.RetryDate),
		Delay: time.Duration(b.Delay), Probability: b.Probability, Count: b.Count, For: time.Duration(b.For), Subscription: b.Subscription, Resource: b.Resource})
	if err != nil {
		return nil, err
	}
	return map[string]int{"id": id}, nil
}

func controlFaults(t *Tenant, _ *http.Request) (any, error) {
	list := []faultBody{}
	for _, a := range t.Faults() {
		f := a.Fault
		list = append(list, faultBody{ID: a.ID, Kind: f.Kind, Path: f.Path, User: f.User, Status: f.Status, RetryAfter: f.RetryAfter, RetryDate: duration(f.RetryDate),
			Delay: duration(f.Delay), Probability: f.Probability, Count: f.Count, For: duration(f.For), Subscription: f.Subscription, Resource: f.Resource, Hits: a.Hits})
	}
	return list, nil
}

func controlClearFault(t *Tenant, r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("fault"))
	if err != nil {
		return nil, fmt.Errorf("fault %q is not a number; GET .../faults lists them", r.PathValue("fault"))
	}
	return nil, t.ClearFault(id)
}

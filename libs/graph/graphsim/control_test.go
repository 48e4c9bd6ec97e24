package graphsim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	s := start(t, nil)
	control := s.Control()
	do := func(method, path, body string) (int, string) {
		t.Helper()
		w := httptest.NewRecorder()
		control.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/sim/v1/"+path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	cases := []struct {
		name, method, path, body string
		status                   int
		contains                 string
	}{
		{"the tenants", "GET", "tenants", "", 200, `"id":"contoso","directoryId":"` + contoso},
		{"the users", "GET", "tenants/contoso/users?search=ANNA", "", 200, `"userPrincipalName":"anna@contoso.example"`},
		{"the tenant by its directory id", "GET", "tenants/" + contoso + "/users/anna", "", 200, `"givenName":"Anna"`},
		{"a presence by local part", "PUT", "tenants/contoso/users/anna/presence", `{"availability":"Busy","activity":"InAMeeting"}`, 200, `"activity":"InAMeeting"`},
		{"a presence by UPN", "PUT", "tenants/contoso/users/ben@contoso.example/presence", `{"availability":"Away"}`, 200, `"activity":"Away"`},
		{"the presence", "GET", "tenants/contoso/users/anna/presence", "", 200, `"availability":"Busy"`},
		{"the truth", "GET", "tenants/contoso/truth", "", 200, `"activity":"InAMeeting"`},
		{"the ledger", "GET", "tenants/contoso/ledger", "", 200, `"total":{"due":0`},
		{"subscriptions", "GET", "tenants/contoso/subscriptions", "", 200, `[]`},
		{"a fault", "POST", "tenants/contoso/faults", `{"kind":"status","status":503,"retryAfter":"2.5","for":"1m30s"}`, 200, `{"id":1}`},
		{"the faults", "GET", "tenants/contoso/faults", "", 200, `"for":"1m30s"`},
		{"one fault away", "DELETE", "tenants/contoso/faults/1", "", 204, ""},
		{"all faults away", "DELETE", "tenants/contoso/faults", "", 204, ""},
		{"a switch", "PATCH", "tenants/contoso/switches", `{"unknownIds":"error"}`, 200, `"unknownIds":"error"`},
		{"other switches stay", "PATCH", "tenants/contoso/switches", `{"casing":"camel"}`, 200, `"unknownIds":"error"`},
		{"a switch of what is unconfirmed", "PATCH", "tenants/contoso/switches", `{"patchResource":"ignore","endpoint":"url","clientStateLimit":255}`, 200, `"clientStateLimit":255`},
		{"no licence", "DELETE", "tenants/contoso/users/ben/licence", "", 204, ""},
		{"a licence", "PUT", "tenants/contoso/users/ben/licence", "", 204, ""},
		{"a monthly meeting", "POST", "tenants/contoso/users/clara/meetings", `{"start":"2030-06-03T10:00","for":"45m","repeat":{"every":"month","index":"first","days":[1]}}`, 200, `"repeat":{"every":"month","interval":1,"days":[1],"index":"first"}`},
		{"a new user", "POST", "tenants/contoso/users", `{"userPrincipalName":"kim@contoso.example"}`, 200, `"displayName":"kim"`},
		{"a deleted user", "DELETE", "tenants/contoso/users/kim?soft=true", "", 204, ""},
		{"the user back again", "POST", "tenants/contoso/users/kim/restore", "", 204, ""},
		{"a user who was never removed", "POST", "tenants/contoso/users/anna/restore", "", 404, `removed user \"anna\"`},
		{"a changed user", "PATCH", "tenants/contoso/users/kim", `{"department":"Sales","accountEnabled":false,"businessPhones":["+49 30 1"]}`, 200, `"businessPhones":["+49 30 1"]`},
		{"a user changed to something unknown", "PATCH", "tenants/contoso/users/kim", `{"shoeSize":44}`, 400, `send JSON like`},
		{"the user deleted again", "DELETE", "tenants/contoso/users/kim", "", 204, ""},
		{"a folder", "POST", "tenants/contoso/users/anna/folders", `{"name":"Customers"}`, 200, `"id":"AQMkAD`},
		{"a folder below nothing", "POST", "tenants/contoso/users/anna/folders", `{"name":"EU","parent":"Nowhere"}`, 404, `Nowhere`},
		{"a contact", "POST", "tenants/contoso/users/anna/contacts", `{"givenName":"Ada","surname":"Lovelace","folder":"Customers"}`, 200, `"number":1,"folder":"Customers","givenName":"Ada"`},
		{"a contact in no folder", "POST", "tenants/contoso/users/anna/contacts", `{"folder":"Friends"}`, 404, `Friends`},
		{"a changed contact", "PATCH", "tenants/contoso/users/anna/contacts/Ada%20Lovelace", `{"surname":"Byron"}`, 204, ""},
		{"a moved contact", "POST", "tenants/contoso/users/anna/contacts/1/move", `{"folder":""}`, 204, ""},
		{"the contacts", "GET", "tenants/contoso/users/anna/contacts", "", 200, `"folder":"Contacts","givenName":"Ada","surname":"Byron","displayName":"Ada Byron"`},
		{"made-up contacts", "POST", "tenants/contoso/users/anna/fill", `{"count":3}`, 204, ""},
		{"no made-up contacts", "POST", "tenants/contoso/users/anna/fill", `{"count":0}`, 400, `not 1 to`},
		{"the folders", "GET", "tenants/contoso/users/anna/folders", "", 200, `"name":"Contacts","parent":"","count":4`},
		{"a contact gone", "DELETE", "tenants/contoso/users/anna/contacts/1", "", 204, ""},
		{"a contact that is not there", "DELETE", "tenants/contoso/users/anna/contacts/1", "", 404, `contact \"1\" of anna`},
		{"the default folder gone", "DELETE", "tenants/contoso/users/anna/folders/Contacts", "", 400, `cannot be removed`},
		{"a folder gone", "DELETE", "tenants/contoso/users/anna/folders/Customers", "", 204, ""},
		{"no photo", "GET", "tenants/contoso/users/anna/photo", "", 404, `photo of`},
		{"a photo", "PUT", "tenants/contoso/users/anna/photo", `{"mime":"image/jpeg","image":"AAEC"}`, 200, `"etag":"\"AE4B3280\""`},
		{"a photo of nothing", "PUT", "tenants/contoso/users/anna/photo", `{"mime":"image/jpeg"}`, 400, `give a content type`},
		{"a photo gone", "DELETE", "tenants/contoso/users/anna/photo", "", 204, ""},
		{"a withdrawn permission", "DELETE", "tenants/contoso/apps/" + appID + "/permissions/User.Read.All", "", 204, ""},
		{"a granted permission", "PUT", "tenants/contoso/apps/" + appID + "/permissions/User.Read.All", "", 204, ""},
		{"an account", "POST", "tenants/contoso/accounts", `{"user":"ben","refreshToken":"x"}`, 204, ""},
		{"expired deltas", "POST", "tenants/contoso/deltas/expire", "", 204, ""},
		{"a group", "POST", "tenants/contoso/groups", `{"displayName":"Support"}`, 200, `"displayName":"Support","members":[],"users":[]`},
		{"a group of the same name", "POST", "tenants/contoso/groups", `{"displayName":"support"}`, 400, `exists already`},
		{"a group without a name", "POST", "tenants/contoso/groups", `{}`, 400, `display name`},
		{"a member", "PUT", "tenants/contoso/groups/Support/members/anna", "", 200, `"users":["anna@contoso.example"]`},
		{"a member that there is not", "PUT", "tenants/contoso/groups/Support/members/nobody", "", 404, `nobody`},
		{"a group in itself", "PUT", "tenants/contoso/groups/Support/members/support", "", 400, `itself`},
		{"the groups", "GET", "tenants/contoso/groups", "", 200, `"users":["anna@contoso.example"]`},
		{"another name", "PUT", "tenants/contoso/groups/Support/name", `{"displayName":"Helpdesk","mail":"help@contoso.example"}`, 200, `"displayName":"Helpdesk","mail":"help@contoso.example"`},
		{"no name", "PUT", "tenants/contoso/groups/Helpdesk/name", `{}`, 400, `display name`},
		{"the name of before", "PUT", "tenants/contoso/groups/Helpdesk/name", `{"displayName":"Support"}`, 200, `"displayName":"Support","members"`},
		{"a member less", "DELETE", "tenants/contoso/groups/support/members/anna", "", 200, `"users":[]`},
		{"a group gone", "DELETE", "tenants/contoso/groups/Support", "", 204, ""},
		{"the group that is gone", "GET", "tenants/contoso/groups/Support", "", 404, `Support`},
		{"a storm", "POST", "tenants/contoso/storm", `{"changes":5}`, 200, `"changes":5`},
		{"a meeting", "POST", "tenants/contoso/users/anna/meetings", `{"start":"2030-06-03T10:00","for":"45m","subject":"Weekly","repeat":{"every":"week","days":[1],"count":3}}`, 200, `"number":1,"subject":"Weekly"`},
		{"an all-day meeting", "POST", "tenants/contoso/users/anna/meetings", `{"start":"2030-06-03","for":"48h","allDay":true,"showAs":"oof"}`, 200, `"end":"2030-06-04T22:00:00Z"`},
		{"a meeting now", "POST", "tenants/contoso/users/ben/meetings", `{"start":"+5s"}`, 200, `"showAs":"busy"`},
		{"the meetings", "GET", "tenants/contoso/users/anna/meetings", "", 200, `"repeat":{"every":"week","interval":1,"days":[1],"count":3}`},
		{"one of a series moved", "PATCH", "tenants/contoso/users/anna/meetings/1@2030-06-10", `{"start":"2030-06-11T12:00"}`, 200, `"number":1`},
		{"another cancelled", "POST", "tenants/contoso/users/anna/meetings/1@2030-06-17/cancel", "", 204, ""},
		{"the truth of a calendar", "GET", "tenants/contoso/users/anna/calendar?from=2030-06-01&to=2030-06-30", "", 200, `"start":"2030-06-11T10:00:00Z","end":"2030-06-11T10:45:00Z"`},
		{"of a day", "GET", "tenants/contoso/users/ben/calendar", "", 200, `"showAs":"busy"`},
		{"a meeting that is wrong on the wire", "PUT", "tenants/contoso/users/anna/meetings/2/spoiled", `{"end":null}`, 204, ""},
		{"a meeting gone", "DELETE", "tenants/contoso/users/anna/meetings/2", "", 204, ""},
		{"a mailbox", "PATCH", "tenants/contoso/users/ben/mailbox", `{"timeZone":"Tokyo Standard Time"}`, 200, `"userPurpose":"user"`},
		{"the mailbox", "GET", "tenants/contoso/users/ben/mailbox", "", 200, `"timeZone":"Tokyo Standard Time"`},
		{"a pin", "PUT", "tenants/contoso/users/anna/preferred", `{"availability":"DoNotDisturb","for":"1h"}`, 200, `"availability":"DoNotDisturb"`},
		{"no pin", "DELETE", "tenants/contoso/users/anna/preferred", "", 204, ""},
		{"the writes", "GET", "tenants/contoso/writes", "", 200, `"users":{}`},
		{"violations", "GET", "tenants/contoso/violations", "", 200, `[]`},
		{"devices", "GET", "tenants/contoso/devices", "", 200, `[]`},
		{"a second factor", "POST", "tenants/contoso/accounts/ben/mfa", "", 204, ""},
		{"a revoked account", "POST", "tenants/contoso/accounts/ben/revoke", "", 204, ""},
		{"a fault of one user's calendar", "POST", "tenants/contoso/faults", `{"kind":"lose","user":"anna","resource":"event"}`, 200, `{"id":2}`},

		{"a meeting at no time", "POST", "tenants/contoso/users/anna/meetings", `{"start":"soon"}`, 400, `\"soon\" is no time; say 10:00`},
		{"a meeting in no zone", "POST", "tenants/contoso/users/anna/meetings", `{"zone":"Mars"}`, 400, `no known name`},
		{"a meeting with two ends", "POST", "tenants/contoso/users/anna/meetings", `{"end":"10:00","for":"1h"}`, 400, `not both`},
		{"a meeting that is not there", "PATCH", "tenants/contoso/users/anna/meetings/9", `{"start":"10:00"}`, 404, `number@2026-12-31`},
		{"a series' occurrence that is not there", "DELETE", "tenants/contoso/users/anna/meetings/1@2030-06-04", "", 404, `meeting \"1@2030-06-04\"`},
		{"nobody's mailbox", "PATCH", "tenants/contoso/users/nobody/mailbox", `{}`, 404, `nobody`},
		{"a mailbox with an unknown member", "PATCH", "tenants/contoso/users/ben/mailbox", `{"size":1}`, 400, `send JSON like`},
		{"a pin that there is not", "PUT", "tenants/contoso/users/anna/preferred", `{"availability":"Busy","activity":"InACall"}`, 400, `only to one of`},
		{"a pin to nothing", "PUT", "tenants/contoso/users/anna/preferred", `{}`, 400, `an availability is needed`},
		{"a fault of nobody", "POST", "tenants/contoso/faults", `{"kind":"lose","user":"nobody"}`, 404, `nobody`},
		{"a refusal of no device", "POST", "tenants/contoso/devices/x", `{"decline":true}`, 404, `user code`},

		{"requests", "GET", "requests", "", 200, `"maxConcurrent":0`},
		{"endpoints", "GET", "endpoints", "", 200, `[]`},

		{"an unknown tenant", "GET", "tenants/nowhere/truth", "", 404, `(there are: contoso, fabrikam)`},
		{"an unknown user", "PUT", "tenants/contoso/users/nobody/presence", `{"availability":"Busy"}`, 404, `user \"nobody\" in tenant contoso.example`},
		{"no availability", "PUT", "tenants/contoso/users/anna/presence", `{}`, 400, "an availability is needed, such as Busy"},
		{"an unknown member", "PUT", "tenants/contoso/users/anna/presence", `{"status":"Busy"}`, 400, `send JSON like {\"availability\"`},
		{"two values", "PUT", "tenants/contoso/users/anna/presence", `{"availability":"Busy"}{}`, 400, "more than one JSON value"},
		{"no JSON", "POST", "tenants/contoso/faults", `x`, 400, `send JSON like`},
		{"an unknown fault", "POST", "tenants/contoso/faults", `{"kind":"flood"}`, 400, `none of`},
		{"a delay without a unit", "POST", "tenants/contoso/faults", `{"kind":"late","delay":"5"}`, 400, `missing unit`},
		{"a fault that is no number", "DELETE", "tenants/contoso/faults/x", "", 400, `is not a number`},
		{"a fault that is not there", "DELETE", "tenants/contoso/faults/99", "", 404, `fault 99`},
		{"an impossible switch", "PATCH", "tenants/contoso/switches", `{"casing":"upper"}`, 400, `none of [pascal camel]`},
		{"an unknown switch", "PATCH", "tenants/contoso/switches", `{"colour":"red"}`, 400, `unknown field`},
		{"a user twice", "POST", "tenants/contoso/users", `{"userPrincipalName":"anna@contoso.example"}`, 400, `exists already`},
		{"a user elsewhere", "POST", "tenants/contoso/users", `{"userPrincipalName":"kim@fabrikam.example"}`, 400, `is not name@contoso.example`},
		{"an unknown app", "PUT", "tenants/contoso/apps/x/permissions/y", "", 404, `app x`},
		{"an unknown device", "POST", "tenants/contoso/devices/x", `{"user":"anna"}`, 404, `user code`},
		{"an unknown subscription", "DELETE", "tenants/contoso/subscriptions/x", "", 404, `subscription \"x\"`},
		{"an unknown subscription's event", "POST", "tenants/contoso/subscriptions/x/event", `{"event":"missed"}`, 404, `subscription \"x\"`},
		{"no limit", "GET", "tenants/contoso/users?limit=0", "", 400, `limit \"0\"`},
	}
	for _, c := range cases {
		status, body := do(c.method, c.path, c.body)
		if status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s: %d %s, want %d with %s", c.name, status, body, c.status, c.contains)
		}
		if status >= 400 && !strings.Contains(body, `"code":"`+map[int]string{400: "invalid", 404: "not-found"}[status]) {
			t.Errorf("%s: no code in %s", c.name, body)
		}
	}
	if _, err := s.contoso().User("kim"); err == nil {
		t.Error("kim was not deleted")
	}
	if status, _ := do(http.MethodPut, "tenants/contoso/users/anna", "{}"); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT of a user: %d", status)
	}
}

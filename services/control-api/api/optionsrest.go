package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/options"
)

const (
	bodyLimit   = 64 << 10
	bodyTimeout = 10 * time.Second
)

// Choice is the body of a PUT of a user's choice.
type Choice struct {
	Status string     `json:"status"`
	Until  *time.Time `json:"until,omitempty"`
	// System and Extension name one extension of the user; without them all are meant.
	System    string `json:"system,omitempty"`
	Extension string `json:"extension,omitempty"`
}

// Pause is the body of a PUT of a user's pause.
type Pause struct {
	Until *time.Time `json:"until,omitempty"` // none: until it is ended
}

func (a *rest) optionRoutes() []route {
	options := []method{{"GET", []string{"undecided"}, a.getOptions}, {"PUT", nil, a.putOptions}, {"DELETE", nil, a.deleteOptions}}
	return []route{
		{"/api/v1/options/tenants/{tenant}", options},
		{"/api/v1/options/tenants/{tenant}/groups/{group}", options},
		{"/api/v1/options/tenants/{tenant}/users/{user}", options},
		{"/api/v1/users/{user}/choice", []method{
			{"PUT", []string{"tenant"}, a.putChoice}, {"DELETE", []string{"tenant", "system", "extension"}, a.deleteChoice}}},
		{"/api/v1/users/{user}/pause", []method{
			{"PUT", []string{"tenant"}, a.putPause}, {"DELETE", []string{"tenant"}, a.deletePause}}},
	}
}

func (a *rest) getOptions(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.of(r.PathValue("tenant"), r.PathValue("group"), r.PathValue("user"))
	if err != nil {
		return err
	}
	counted, err := yes(r, "undecided")
	if err != nil {
		return err
	}
	entry, err := a.options.get(r.Context(), key, counted)
	return writeEntry(w, entry, err)
}

func (a *rest) putOptions(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.of(r.PathValue("tenant"), r.PathValue("group"), r.PathValue("user"))
	if err != nil {
		return err
	}
	expected, err := ifMatch(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	given, err := options.Decode(body)
	if err != nil {
		return badBody(err)
	}
	entry, err := a.options.put(r.Context(), key, expected, given)
	return writeEntry(w, entry, err)
}

func (a *rest) deleteOptions(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.of(r.PathValue("tenant"), r.PathValue("group"), r.PathValue("user"))
	if err != nil {
		return err
	}
	expected, err := ifMatch(r)
	if err != nil {
		return err
	}
	entry, err := a.options.remove(r.Context(), key, expected)
	return writeEntry(w, entry, err)
}

func (a *rest) putChoice(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.linked(r.URL.Query().Get("tenant"), r.PathValue("user"))
	if err != nil {
		return err
	}
	var c Choice
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	entry, err := a.options.choose(r.Context(), key, options.Chosen{
		Status: c.Status, Until: when(c.Until), System: identity.System(c.System), Extension: identity.Extension(c.Extension)})
	return writeEntry(w, entry, err)
}

func (a *rest) deleteChoice(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.linked(r.URL.Query().Get("tenant"), r.PathValue("user"))
	if err != nil {
		return err
	}
	entry, err := a.options.withdraw(r.Context(), key, identity.System(r.URL.Query().Get("system")), identity.Extension(r.URL.Query().Get("extension")))
	return writeEntry(w, entry, err)
}

func (a *rest) putPause(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.user(r.URL.Query().Get("tenant"), r.PathValue("user"))
	if err != nil {
		return err
	}
	var p Pause
	if r.ContentLength != 0 {
		if err := readJSON(w, r, &p); err != nil {
			return err
		}
	}
	entry, err := a.options.pause(r.Context(), key, when(p.Until))
	return writeEntry(w, entry, err)
}

func (a *rest) deletePause(w http.ResponseWriter, r *http.Request) error {
	key, err := a.options.user(r.URL.Query().Get("tenant"), r.PathValue("user"))
	if err != nil {
		return err
	}
	entry, err := a.options.resume(r.Context(), key)
	return writeEntry(w, entry, err)
}

// when is the zero time for nil.
func when(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// writeEntry answers with what is set, and its revision as ETag (RFC 9110, 8.8.3).
func writeEntry(w http.ResponseWriter, entry OptionsEntry, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, entry.Revision))
	writeJSON(w, entry)
	return nil
}

// ifMatch is the revision that a change expects, or nil. Conditions that are not
// understood are refused: to ignore one could overwrite what somebody else set.
func ifMatch(r *http.Request) (*uint64, error) {
	for _, other := range []string{"If-None-Match", "If-Unmodified-Since"} {
		if r.Header.Get(other) != "" {
			return nil, problem(fault.Invalid, CodeRequest, "the condition "+other+" is not understood", "header "+other,
				`use If-Match with the ETag that was read; "0" is that of what was never set`)
		}
	}
	text := r.Header.Get("If-Match")
	if text == "" {
		return nil, nil
	}
	revision, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`), 10, 64)
	if err != nil || text != fmt.Sprintf(`"%d"`, revision) {
		return nil, problem(fault.Invalid, CodeRequest, text+" is no ETag of options", "header If-Match", `send the ETag that was read, such as "17"`)
	}
	return &revision, nil
}

// readBody reads a body in JSON, at most bodyLimit of it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem(fault.Invalid, CodeBody, fmt.Sprintf("the content type is %q", r.Header.Get("Content-Type")), "header Content-Type", "send JSON, as application/json")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, problem(fault.Invalid, CodeBody, fmt.Sprintf("the body is larger than %d KiB", bodyLimit>>10), "body", "send less")
	}
	if err != nil {
		return nil, problem(fault.Invalid, CodeBody, "the body did not come: "+err.Error(), "body", "send it again, whole")
	}
	return body, nil
}

// readJSON decodes a body; members that are unknown are refused.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badBody(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badBody(errors.New("something stands behind it"))
	}
	return nil
}

func badBody(err error) error {
	if inner := errors.Unwrap(err); inner != nil && fault.KindOf(err) == fault.Invalid {
		err = inner // without the name of the package
	}
	return problem(fault.Invalid, CodeBody, "the body cannot be read: "+strings.TrimPrefix(err.Error(), "json: "), "body",
		"see /api/v1/openapi.json for what may stand in it; times are as RFC 3339 has them, 2026-03-29T14:00:00Z, and durations as 5s or 15m")
}

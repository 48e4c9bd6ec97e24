package graphsim

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// graphError is Graph's error answer
// (learn.microsoft.com/graph/errors): the code is for programs.
type graphError struct {
	status  int
	code    string
	message string
	header  http.Header
	inner   map[string]any // further members of innerError
}

func graphErr(status int, code, format string, args ...any) *graphError {
	return &graphError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *graphError {
	return graphErr(http.StatusBadRequest, "BadRequest", format, args...)
}

// answer is what an operation returns; status 0 is 200.
type answer struct {
	status int
	body   any
	raw    []byte      // instead of body: what is not JSON, of the Content-Type in header
	header http.Header // further headers, or nil
}

type operation func(*call) (answer, *graphError)

// call is one authenticated request to Graph.
type call struct {
	*http.Request
	server  *Server
	tenant  *Tenant
	app     *app
	user    string   // object id of the signed-in user, or "" for an application
	granted []string // roles or scopes in the token
	expires time.Time
}

// permissions are those of which one is enough. With neither list nobody may.
type permissions struct {
	app, delegated []string
	denied         string // error code of the 403; "" is Authorization_RequestDenied
	anyone         bool
	mailbox        bool // it is about the mailbox of {user}, whose limits count
}

// graph wraps an operation with what all of Graph has in common: authentication,
// faults, quotas, permissions and the shape of errors.
func (s *Server) graph(need permissions, serve operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("request-id", newGUID())
		w.Header().Set("client-request-id", r.Header.Get("client-request-id"))
		c, failure := s.authorize(r)
		if failure != nil {
			s.writeGraphError(w, failure)
			return
		}
		if !c.tenant.offered(r.Pattern) {
			_, failure := noSuchSegment(c)
			s.writeGraphError(w, failure)
			return
		}
		var over *Fault
		if need.mailbox {
			var leave func()
			leave, over = c.enterMailbox()
			defer leave()
		}
		if !c.tenant.passGraph(w, c, c.scope(need), over) {
			return
		}
		if failure := c.require(need); failure != nil {
			s.writeGraphError(w, failure)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
		result, failure := serve(c)
		if failure != nil {
			s.writeGraphError(w, failure)
			return
		}
		set(&result.status, http.StatusOK)
		for name, values := range result.header {
			w.Header()[name] = values
		}
		if result.raw != nil {
			w.WriteHeader(result.status)
			_, _ = w.Write(result.raw) // the client may be gone
			return
		}
		if result.body == nil {
			w.WriteHeader(result.status)
			return
		}
		if _, struck := c.tenant.strikeRequest(FaultGarbage, r); struck {
			writeHalf(w, result.body)
			return
		}
		writeJSON(w, result.status, result.body)
	}
}

// authorize reads the access token.
func (s *Server) authorize(r *http.Request) (*call, *graphError) {
	deny := func(message string) (*call, *graphError) {
		e := graphErr(http.StatusUnauthorized, "InvalidAuthenticationToken", "%s", message)
		e.header = http.Header{"Www-Authenticate": {`Bearer realm="", authorization_uri="` + s.LoginURL() + `/common/oauth2/authorize"`}}
		return nil, e
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || bearer == "" {
		return deny("Access token is empty.")
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(graphAudience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.now))
	_, err := parser.ParseWithClaims(bearer, claims, s.keys.find)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return deny("Lifetime validation failed, the token is expired.")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return deny("Access token validation failure. Invalid audience.")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return deny("CompactToken parsing failed with error code: 80049217")
	case err != nil:
		return deny("Signing key is invalid.")
	}
	text := func(name string) string { value, _ := claims[name].(string); return value }
	t := s.Tenant(text("tid"))
	if t == nil {
		return deny("Access token validation failure. Invalid tenant.")
	}
	c := &call{Request: r, server: s, tenant: t, app: t.app(text("appid"))}
	if c.app == nil {
		return deny("Access token validation failure. Invalid application.")
	}
	if scopes := text("scp"); scopes != "" {
		c.user, c.granted = text("oid"), strings.Fields(scopes)
	}
	roles, _ := claims["roles"].([]any)
	for _, role := range roles {
		c.granted = append(c.granted, fmt.Sprint(role))
	}
	if at, err := claims.GetExpirationTime(); err == nil {
		c.expires = at.Time
	}
	return c, nil
}

// require checks permissions. An application's are checked against its consent as
// well as its token, so that withdrawing one shows at once.
func (c *call) require(need permissions) *graphError {
	if need.anyone {
		return nil
	}
	enough := need.app
	if c.user != "" {
		enough = need.delegated
	}
	for _, permission := range enough {
		if c.has(permission) {
			return nil
		}
	}
	if need.denied != "" {
		return graphErr(http.StatusForbidden, need.denied, "Missing permission: one of %s is needed.", strings.Join(enough, ", "))
	}
	return graphErr(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

// has says whether the caller holds a permission. Tenant.mu must not be held.
func (c *call) has(permission string) bool {
	for _, granted := range c.granted {
		if granted == permission {
			c.tenant.mu.RLock()
			defer c.tenant.mu.RUnlock()
			return c.user != "" || c.app.roles[permission]
		}
	}
	return false
}

// decode reads a JSON body.
func (c *call) decode(into any) *graphError {
	data, err := io.ReadAll(c.Body)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return badRequest("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return nil
}

// origin is the address under which the client knows Graph; links carry it.
func (c *call) origin() string { return "https://" + c.Host + "/v1.0" }

func noSuchSegment(c *call) (answer, *graphError) {
	segment := strings.TrimPrefix(c.URL.Path, "/v1.0/")
	return answer{}, badRequest("Resource not found for the segment '%s'.", segment)
}

func (s *Server) writeGraphError(w http.ResponseWriter, e *graphError) {
	for name, values := range e.header {
		w.Header()[name] = values
	}
	inner := map[string]any{"date": s.now().UTC().Format("2006-01-02T15:04:05"),
		"request-id": w.Header().Get("request-id"), "client-request-id": w.Header().Get("client-request-id")}
	for name, value := range e.inner {
		inner[name] = value
	}
	writeJSON(w, e.status, map[string]any{"error": map[string]any{"code": e.code, "message": e.message, "innerError": inner}})
}

// writeHalf answers what a reader takes for an answer until it ends.
func writeHalf(w http.ResponseWriter, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic("graphsim: an answer that is not JSON: " + err.Error()) // a mistake in this package
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(data[:len(data)/2]) // the client may be gone
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic("graphsim: an answer that is not JSON: " + err.Error()) // a mistake in this package
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client may be gone
}

// newGUID returns a random version 4 GUID.
func newGUID() string { return guidOf(rand.Text()) }

// quiet discards what net/http logs: failed TLS handshakes are part of the tests.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

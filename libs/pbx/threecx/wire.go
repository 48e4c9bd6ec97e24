package threecx

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// root is where the Configuration API lives.
const root = "/xapi/v1"

// bodyLimit bounds what is read of an answer. A page of 100 users is about 30 KB; a
// list of all calls has some 600 bytes for each extension.
const bodyLimit = 16 << 20

// wire sends requests with the access token. It repeats one only where the token
// turned out to be dead, which is no answer to the request.
type wire struct {
	base   *url.URL
	config Config
	client *http.Client
	tokens *tokens
	gate   chan struct{} // holds a value for each request in flight
	closed atomic.Bool
	done   chan struct{} // closed by close
}

// maxConnections bounds what one phone system has to keep open for us, whatever
// the pace.
const maxConnections = 8

// dialTimeout bounds connecting apart from the rest, because a request that never
// connected never arrived.
const dialTimeout = 5 * time.Second

// defaultInFlight is how many requests are on their way at a time.
const defaultInFlight = 2

func newWire(base *url.URL, config Config) *wire {
	w := &wire{base: base, config: config, gate: make(chan struct{}, cmp.Or(max(0, config.InFlight), defaultInFlight)), done: make(chan struct{})}
	w.client = &http.Client{
		Transport: pbx.Punctual(&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: config.Authorities, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxConnsPerHost:     maxConnections,
			MaxIdleConnsPerHost: maxConnections, // all may be kept, so that none is ever opened in vain
			IdleConnTimeout:     90 * time.Second,
		}),
		// A redirect would take the token, or the secret, to a place that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.tokens = newTokens(w.signIn)
	return w
}

// close ends the watch and idle connections at once and the others when their
// requests end, which is with the contexts of those who wait for them.
func (w *wire) close() {
	if !w.closed.Swap(true) {
		close(w.done)
	}
	w.client.CloseIdleConnections()
}

// ours refuses a link of the phone system's that leads elsewhere.
func (w *wire) ours(op, link string) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	if err != nil || u.IsAbs() && (u.Scheme != w.base.Scheme || !strings.EqualFold(u.Host, w.base.Host)) || !u.IsAbs() && u.Host != "" {
		return fault.Errorf(fault.Invalid, op, "the next page is said to be on another host")
	}
	return nil
}

// get reads a resource of the Configuration API into into.
func (w *wire) get(ctx context.Context, op, path string, query url.Values, into any) error {
	return w.read(ctx, op, root+path, query, into)
}

// read reads whatever is at an absolute path.
func (w *wire) read(ctx context.Context, op, path string, query url.Values, into any) error {
	answer, err := w.send(ctx, op, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return refusal(op, false, answer.status, answer.header, answer.body, time.Now())
	}
	return decode(op, answer.body, into)
}

// patch changes a resource. Success is 204 and nothing else.
func (w *wire) patch(ctx context.Context, op, path string, change any) error {
	body, err := json.Marshal(change)
	if err != nil {
		return fault.New(fault.Invalid, op, err)
	}
	answer, err := w.send(ctx, op, http.MethodPatch, root+path, nil, body)
	if err != nil {
		return err
	}
	if answer.status != http.StatusNoContent {
		return refusal(op, true, answer.status, answer.header, answer.body, time.Now())
	}
	return nil
}

// post makes something or calls an action. Only success is success; into takes what it
// answers, nil if that does not matter. An answer that makes no sense says nothing
// about what was done.
func (w *wire) post(ctx context.Context, op, path string, order any, success int, into any) error {
	body, err := json.Marshal(order)
	if err != nil {
		return fault.New(fault.Invalid, op, err)
	}
	answer, err := w.send(ctx, op, http.MethodPost, root+path, nil, body)
	if err != nil {
		return err
	}
	if answer.status != success {
		return refusal(op, true, answer.status, answer.header, answer.body, time.Now())
	}
	if into == nil {
		return nil
	}
	if err := decode(op, answer.body, into); err != nil {
		return fault.New(fault.Timeout, op, err)
	}
	return nil
}

// remove deletes a resource. Success is 204 and nothing else.
func (w *wire) remove(ctx context.Context, op, path string) error {
	answer, err := w.send(ctx, op, http.MethodDelete, root+path, nil, nil)
	if err != nil {
		return err
	}
	if answer.status != http.StatusNoContent {
		return refusal(op, true, answer.status, answer.header, answer.body, time.Now())
	}
	return nil
}

// send sends one request with a live token, and once more with a new one if that
// was dead (a restart forgets tokens, and another client may have taken ours).
func (w *wire) send(ctx context.Context, op, method, path string, query url.Values, body []byte) (answer, error) {
	target := *w.base
	target.Path, target.RawQuery = path, query.Encode()
	dead := ""
	for {
		bearer, err := w.tokens.get(ctx, dead)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %w", op, err)
		}
		a, err := w.exchange(ctx, op, func(ctx context.Context) (*http.Request, error) {
			r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
			if err != nil {
				return nil, err
			}
			r.Header.Set("Authorization", "Bearer "+bearer)
			r.Header.Set("Accept", acceptable(path))
			if body == nil {
				r.Body, r.ContentLength = http.NoBody, 0
			} else {
				r.Header.Set("Content-Type", "application/json")
			}
			return r, nil
		})
		if err != nil || a.status != http.StatusUnauthorized || dead != "" {
			return a, err
		}
		dead = bearer
	}
}

// acceptable is the media type that is asked for. There is none that everybody calls
// YAML by.
func acceptable(path string) string {
	if path == root+schemaPath {
		return "*/*"
	}
	return "application/json"
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var (
	errNoAnswer = errors.New("no answer in time")
	errClosed   = errors.New("the driver is closed")
)

// enter waits until there is room for one more request. The pace of a pbx.System bounds
// its own calls; a watch and the sign-in come from elsewhere, and the phone system counts
// them all. Whoever is in never enters a second time, so all get out again.
func (w *wire) enter(ctx context.Context, op string) error {
	select {
	case w.gate <- struct{}{}:
		return nil
	case <-w.done:
		return fault.New(fault.Unavailable, op, errClosed)
	case <-ctx.Done():
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
}

func (w *wire) leave() { <-w.gate }

// exchange does one HTTP round trip within the configured timeout.
func (w *wire) exchange(ctx context.Context, op string, build func(context.Context) (*http.Request, error)) (answer, error) {
	if w.closed.Load() {
		return answer{}, fault.New(fault.Unavailable, op, errClosed)
	}
	if err := w.enter(ctx, op); err != nil {
		return answer{}, err
	}
	defer w.leave()
	bounded, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errNoAnswer)
	defer cancel()
	traced, left := pbx.Departing(bounded)
	r, err := build(traced)
	if err != nil {
		return answer{}, fault.New(fault.Invalid, op, err)
	}
	response, err := w.client.Do(r)
	if err != nil {
		return answer{}, failure(bounded, op, left.Load(), r.Method == http.MethodGet, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	switch {
	case err != nil:
		return answer{}, failure(bounded, op, true, r.Method == http.MethodGet, err)
	case len(body) > bodyLimit && r.Method == http.MethodGet:
		return answer{}, fault.Errorf(fault.Unavailable, op, "the answer is longer than %d bytes", bodyLimit)
	}
	return answer{response.StatusCode, response.Header, body[:min(len(body), bodyLimit)]}, nil
}

// errSenseless is in the chain of errors about answers that are no JSON, or not what
// was asked for.
var errSenseless = errors.New("the answer makes no sense")

// decode reads a JSON answer. What makes no sense is treated as no answer: a proxy
// in between, or the phone system starting up. So is another charset than JSON's, which
// would be read as names with replacement characters in them. The body is not quoted.
func decode(op string, body []byte, into any) error {
	if !utf8.Valid(body) {
		return fault.Errorf(fault.Unavailable, op, "%w: its %d bytes are not UTF-8", errSenseless, len(body))
	}
	if said, inside := errorInside(body); inside {
		return fault.Errorf(fault.Unavailable, op, "%w: it says success, and inside %w", errSenseless, &httpError{http.StatusOK, said})
	}
	if err := json.Unmarshal(body, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fault.Errorf(fault.Unavailable, op, "%w: %s where %s should be", errSenseless, printable(wrong.Value, mostNumber), wrong.Field)
		}
		return fault.Errorf(fault.Unavailable, op, "%w: its %d bytes are not JSON", errSenseless, len(body))
	}
	return nil
}

// errorInside says whether an answer that claims success holds an error (OData 4.01,
// 11.4: what goes wrong after the head was sent is told in the body).
func errorInside(body []byte) (odataError, bool) {
	members := json.NewDecoder(bytes.NewReader(body))
	if first, err := members.Token(); err != nil || first != json.Delim('{') {
		return odataError{}, false
	}
	for members.More() {
		name, err := members.Token()
		if err != nil {
			return odataError{}, false
		}
		if text, _ := name.(string); text == "error" {
			return parseError(body), true
		} else if !strings.HasPrefix(text, "@") {
			return odataError{}, false
		}
		var annotation json.RawMessage
		if members.Decode(&annotation) != nil {
			return odataError{}, false
		}
	}
	return odataError{}, false
}

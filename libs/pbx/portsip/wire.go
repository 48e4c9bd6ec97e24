package portsip

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// root is where the REST interface lives.
const root = "/api"

// bodyLimit bounds what is read of an answer. A page of 100 users is about 60 KB; a
// list of all members of a group has some 150 bytes for each.
const bodyLimit = 16 << 20

// Bounds of what one phone system has to keep open for us, and of connecting, which is
// apart from the rest because a request that never connected never arrived.
const (
	maxConnections = 8
	dialTimeout    = 5 * time.Second
)

// wire sends requests. It repeats one only where the access token turned out to be
// dead, which is no answer to the request.
type wire struct {
	base   string // without a stroke at the end
	config Config
	client *http.Client
	budget budget
	closed atomic.Bool
	done   chan struct{} // closed by close
}

func newWire(base *url.URL, config Config) *wire {
	w := &wire{base: base.String(), config: config, budget: newBudget(config.PerSecond), done: make(chan struct{})}
	w.client = &http.Client{
		Transport: pbx.Punctual(&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: config.Authorities, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxConnsPerHost:     maxConnections,
			MaxIdleConnsPerHost: maxConnections,
			IdleConnTimeout:     90 * time.Second,
		}),
		// A redirect would take the token, or the password, to a place that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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

// get reads a resource into into, as whom the session is.
func (w *wire) get(ctx context.Context, op string, as *session, path string, query url.Values, into any) error {
	answer, err := w.send(ctx, op, as, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return refusal(op, false, answer, time.Now())
	}
	return decode(op, answer.body, into)
}

// post makes, changes or deletes something. The vendor's file says 200, 201 or 204 and
// which where; any of them is success. into takes the answer, nil if it does not
// matter. An answer that makes no sense says nothing about what was done. hide are secrets
// among what is sent, which a refusal may repeat.
func (w *wire) post(ctx context.Context, op string, as *session, path string, order, into any, hide ...string) error {
	var body []byte
	if order != nil {
		var err error
		if body, err = json.Marshal(order); err != nil {
			return fault.New(fault.Invalid, op, err)
		}
	}
	answer, err := w.send(ctx, op, as, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	switch answer.status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	default:
		for _, secret := range hide {
			if secret != "" {
				answer.body = bytes.ReplaceAll(answer.body, []byte(secret), []byte("***"))
			}
		}
		return refusal(op, true, answer, time.Now())
	}
	if into == nil {
		return nil
	}
	if err := decode(op, answer.body, into); err != nil {
		return fault.New(fault.Timeout, op, err)
	}
	return nil
}

// upload sends data as it is, with headers of its own, and wants the answer success.
func (w *wire) upload(ctx context.Context, op string, as *session, path string, query url.Values, header http.Header, data []byte, success int) (answer, error) {
	a, err := w.send(ctx, op, as, http.MethodPost, path, query, data, header)
	if err != nil {
		return answer{}, err
	}
	if a.status != success {
		return answer{}, refusal(op, true, a, time.Now())
	}
	return a, nil
}

// send sends one request with a live token, and once more with a new one if that was
// dead (a restart forgets tokens).
func (w *wire) send(ctx context.Context, op string, as *session, method, path string, query url.Values, body []byte, more ...http.Header) (answer, error) {
	dead := ""
	for {
		bearer, err := as.token(ctx, dead)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %w", op, err)
		}
		a, err := w.exchange(ctx, op, method, path, query, body, bearer, more...)
		if err != nil || a.status != http.StatusUnauthorized || dead != "" {
			return a, err
		}
		dead = bearer
	}
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
	// errSenseless is in the chain of errors about answers that are no JSON, or not what
	// was asked for.
	errSenseless = errors.New("the answer makes no sense")
)

// exchange does one HTTP round trip within the configured timeout, once it is its turn. bearer may
// be "". A body is JSON unless more says otherwise.
func (w *wire) exchange(ctx context.Context, op, method, path string, query url.Values, body []byte, bearer string, more ...http.Header) (answer, error) {
	if w.closed.Load() {
		return answer{}, fault.New(fault.Unavailable, op, errClosed)
	}
	if err := w.budget.take(ctx, op); err != nil {
		return answer{}, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errNoAnswer)
	defer cancel()
	target := w.base + root + path // which is escaped already
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(bounded, method, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, fault.New(fault.Invalid, op, err)
	}
	r.Header.Set("Accept", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range more {
		maps.Copy(r.Header, header)
	}
	response, err := w.client.Do(r)
	read := method == http.MethodGet
	if err != nil {
		return answer{}, failure(bounded, op, read, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	switch {
	case err != nil:
		return answer{}, failure(bounded, op, read, err)
	case len(data) > bodyLimit && read:
		return answer{}, fault.Errorf(fault.Unavailable, op, "the answer is longer than %d bytes", bodyLimit)
	}
	return answer{response.StatusCode, response.Header, data[:min(len(data), bodyLimit)]}, nil
}

// decode reads a JSON answer. What makes no sense is treated as no answer: a proxy in
// between, or the phone system starting up. The body is not quoted. JSON is UTF-8 (RFC 8259
// section 8.1): of what is not, encoding/json would make other texts without a word.
func decode(op string, body []byte, into any) error {
	if !utf8.Valid(body) {
		return fault.Errorf(fault.Unavailable, op, "%w: its %d bytes are not UTF-8", errSenseless, len(body))
	}
	if err := json.Unmarshal(body, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fault.Errorf(fault.Unavailable, op, "%w: %s where %s should be", errSenseless, wrong.Value, wrong.Field)
		}
		return fault.Errorf(fault.Unavailable, op, "%w: its %d bytes are not JSON", errSenseless, len(body))
	}
	return nil
}

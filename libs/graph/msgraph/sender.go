package msgraph

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// maxAnswer bounds an answer, in bytes: a page of 999 users takes about one
// million.
const maxAnswer = 16 << 20

var errTooLong = fmt.Errorf("answer is longer than %d bytes", maxAnswer)

// sender is the one way to Graph. Its errors are fault.Errors without an Op,
// which the verbs add.
type sender struct {
	tenant   identity.Tenant
	cloud    graph.Cloud
	wire     http.RoundTripper
	tokens   graph.TokenSource
	budget   graph.Budget
	throttle *throttle
	timeout  time.Duration // of one try
	observe  func(context.Context, graph.API, int)
}

func newSender(c Config, wire http.RoundTripper, tokens graph.TokenSource) *sender {
	return &sender{c.Tenant, c.Cloud, wire, tokens, c.Budget, newThrottle(c.Tenant, c.Pauses), tryTimeout, c.Observe}
}

// RoundTrip sends a request, again where that is safe and soon, and returns the
// last answer with its body in memory.
func (s *sender) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := s.cloud.CheckLink(graph.Cursor(req.URL.String())); err != nil {
		return nil, fault.New(fault.Invalid, "", err)
	}
	body, err := readBody(req)
	if err != nil {
		return nil, fault.New(fault.Invalid, "", err)
	}
	ctx, api, once := req.Context(), apiOf(req), createsSomething(req)
	price := requestsIn(req, body)
	for try := 1; ; try++ {
		if err := s.admit(ctx, api, price); err != nil {
			return nil, err
		}
		resp, err := s.try(req, body, once)
		s.tell(ctx, api, resp)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		delay, again := s.again(ctx, resp, err, try, once, api)
		if !again || !fits(ctx, delay) {
			return resp, err
		}
		if err := sleep(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// tell reports one try.
func (s *sender) tell(ctx context.Context, api graph.API, resp *http.Response) {
	switch {
	case s.observe == nil:
	case resp == nil:
		s.observe(ctx, api, 0)
	default:
		s.observe(ctx, api, resp.StatusCode)
	}
}

// admit lets a request leave: not before a throttle ends, not without budget for
// each of the requests that it carries.
func (s *sender) admit(ctx context.Context, api graph.API, price int) error {
	for {
		closed := s.throttle.remaining(ctx, api)
		if closed <= 0 {
			break
		}
		if closed > MaxWait || !fits(ctx, closed) {
			return fault.After(fault.Throttled, "", closed, errors.New("graph asked for a pause that is not over"))
		}
		if err := sleep(ctx, closed); err != nil {
			return err
		}
	}
	return s.budget.Take(ctx, quotaKey(s.tenant, api), price)
}

// again says whether and when to try again, and remembers what Graph asked for.
func (s *sender) again(ctx context.Context, resp *http.Response, err error, try int, once bool, api graph.API) (time.Duration, bool) {
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			return 0, false // nothing that passes by itself
		}
		switch fault.KindOf(err) {
		case fault.Unavailable, fault.Timeout, fault.Throttled:
			delay := max(backoff(try), fault.RetryAfter(err))
			return delay, try < maxTries && delay <= MaxWait && !effectUnknown(err, once)
		}
		return 0, false
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		delay, asked := retryAfter(resp.Header.Get("Retry-After"), time.Now())
		if !asked {
			delay = backoff(try)
		}
		if asked || resp.StatusCode == http.StatusTooManyRequests {
			s.throttle.closeFor(ctx, api, delay)
		}
		return delay, try < maxTries && delay <= MaxWait
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return backoff(try), try < maxTries && !once
	}
	return 0, false
}

// effectUnknown: a create whose answer got lost may have happened.
func effectUnknown(err error, once bool) bool { return once && fault.KindOf(err) == fault.Timeout }

// try sends the request once. Its answer is read to the end and closed in here,
// so that the connection goes back to the pool whatever the SDK does with it.
func (s *sender) try(req *http.Request, body []byte, once bool) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), s.timeout, fmt.Errorf("no answer within %v", s.timeout))
	defer cancel()
	token, err := s.tokens.Token(ctx)
	if err != nil {
		return nil, err
	}
	if token.Value.IsZero() {
		return nil, fault.New(fault.Denied, "", errors.New("there is no access token"))
	}
	var sent atomic.Bool
	out := req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	out.Header.Set("Authorization", "Bearer "+token.Value.Reveal())
	setBody(out, body)
	resp, err := s.wire.RoundTrip(out)
	if err != nil {
		return nil, wireError(ctx, err, once && sent.Load())
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, wireError(ctx, err, once)
	case len(answer) > maxAnswer:
		return nil, fault.New(fault.Unknown, "", errTooLong)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fault.New(fault.Invalid, "", fmt.Errorf("graph answered with a redirect (%d), which is not followed", resp.StatusCode))
	case resp.StatusCode == http.StatusFailedDependency && isBatch(req) && carriesAnswers(answer):
		// A batch with throttled members fails as 424 by one page and is 200 by
		// another; the answers inside count. https://learn.microsoft.com/graph/throttling
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
	case resp.StatusCode >= 400:
		answer = plainError(resp, answer)
	}
	setAnswer(resp, answer)
	return resp, nil
}

// wireError classifies a failure below HTTP. unclear says that the request may
// have had its effect.
func wireError(ctx context.Context, err error, unclear bool) error {
	if cause := context.Cause(ctx); cause != nil {
		return fault.New(fault.Timeout, "", cause)
	}
	if unclear {
		return fault.New(fault.Timeout, "", fmt.Errorf("connection lost before the answer: %w", err))
	}
	return fault.New(fault.Unavailable, "", err)
}

// plainError rewrites an error answer to code and message. The SDK's error type
// panics when asked for a message that is not there, and loses the status of an
// answer that is not JSON, such as a proxy's.
func plainError(resp *http.Response, answer []byte) []byte {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &body) != nil || body.Error.Message == "" {
		body.Error.Message = http.StatusText(resp.StatusCode)
	}
	resp.Header.Set("Content-Type", "application/json")
	plain, err := json.Marshal(body)
	if err != nil {
		return []byte(`{"error":{"code":"","message":"unreadable"}}`)
	}
	return plain
}

func setAnswer(resp *http.Response, answer []byte) {
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	resp.ContentLength = int64(len(answer))
	resp.Header.Del("Content-Length")
}

// readBody takes the SDK's body once, so that every try sends all of it.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return body, nil
}

func setBody(req *http.Request, body []byte) {
	req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	if len(body) == 0 {
		return
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body = io.NopCloser(bytes.NewReader(body))
}

// apiOf says on whose quota a request draws.
func apiOf(req *http.Request) graph.API {
	path := strings.TrimSuffix(strings.TrimPrefix(req.URL.Path, "/v1.0"), "/")
	switch {
	case strings.HasPrefix(path, "/communications/"), strings.HasPrefix(path, "/users/") && strings.Contains(path, "/presence/"):
		return graph.APIPresence
	case isBatch(req):
		return graph.APIMailbox // nothing else is read in batches
	case path == "/subscriptions" && req.Method == http.MethodGet:
		return graph.APIList
	case strings.HasPrefix(path, "/subscriptions"):
		return graph.APISubscriptions
	}
	return graph.APIDirectory
}

// createsSomething: the one request whose repetition has another effect.
func createsSomething(req *http.Request) bool {
	return req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/subscriptions")
}

func isBatch(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, batchPath) }

// requestsIn counts what Graph will count: each request of a batch is one, and a page
// of a group's members takes as many resource units as two reads of users.
func requestsIn(req *http.Request, body []byte) int {
	if strings.HasSuffix(req.URL.Path, membersPath) {
		return 2
	}
	if !isBatch(req) {
		return 1
	}
	var batch struct {
		Requests []json.RawMessage `json:"requests"`
	}
	if json.Unmarshal(body, &batch) != nil {
		return 1
	}
	return max(1, len(batch.Requests))
}

// carriesAnswers says whether the answer to a batch has answers in it.
func carriesAnswers(answer []byte) bool {
	var batch struct {
		Responses []json.RawMessage `json:"responses"`
	}
	return json.Unmarshal(answer, &batch) == nil && len(batch.Responses) > 0
}

// fits says whether a wait ends before the caller's deadline.
func fits(ctx context.Context, delay time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	return !bounded || time.Until(deadline) > delay
}

func sleep(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

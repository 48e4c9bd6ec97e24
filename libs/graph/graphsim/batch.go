package graphsim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxBatch is how many requests a $batch may carry (learn.microsoft.com/graph/json-batching).
const maxBatch = 20

// batchRequest is a request inside of a batch.
type batchRequest struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"` // below the version
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

type batchResponse struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// serveBatch is POST /$batch. Each request inside goes the way of a request of its
// own, quotas, faults and counters included; what the batch as a whole says is 200.
func (s *Server) serveBatch(inside http.Handler) operation {
	return func(c *call) (answer, *graphError) {
		var body struct {
			Requests []batchRequest `json:"requests"`
		}
		if failure := c.decode(&body); failure != nil {
			return answer{}, failure
		}
		if failure := checkBatch(body.Requests); failure != nil {
			return answer{}, failure
		}
		run := batchRun{call: c, inside: inside, ended: make(map[string]chan struct{}), answers: make(map[string]batchResponse), mailboxes: make(map[string]chan struct{})}
		responses := run.all(body.Requests)
		c.tenant.mu.RLock()
		together := c.tenant.switches.BatchThrottled == "outer"
		c.tenant.mu.RUnlock()
		for _, r := range responses {
			if together && r.Status == http.StatusTooManyRequests {
				return answer{}, graphErr(http.StatusFailedDependency, "FailedDependency", "Failed dependency: a request of the batch was throttled.")
			}
		}
		return answer{body: map[string]any{"responses": responses}}, nil
	}
}

func checkBatch(requests []batchRequest) *graphError {
	if len(requests) == 0 || len(requests) > maxBatch {
		return badRequest("Number of batch request steps must be 1 to %d, not %d.", maxBatch, len(requests))
	}
	seen := make(map[string]bool)
	for _, r := range requests {
		switch {
		case r.ID == "" || r.Method == "" || r.URL == "":
			return badRequest("Every batch request needs an id, a method and a url.")
		case seen[r.ID]:
			return badRequest("Request Id '%s' is not unique.", r.ID)
		case strings.Contains(r.URL, "$batch"):
			return badRequest("A batch cannot be in a batch.")
		}
		for _, id := range r.DependsOn {
			if !seen[id] { // which forbids circles too
				return badRequest("Request '%s' depends on '%s', which is not before it.", r.ID, id)
			}
		}
		seen[r.ID] = true
	}
	return nil
}

// batchRun is a batch at work.
type batchRun struct {
	call      *call
	inside    http.Handler
	ended     map[string]chan struct{} // closed when the request with this id has its answer
	mailboxes map[string]chan struct{} // a place for each request that may be under way

	mu      sync.Mutex
	answers map[string]batchResponse
}

// all runs the requests at the same time, at most four for one user, as the service
// does with those to Outlook. The answers come last one first: their order means nothing.
func (b *batchRun) all(requests []batchRequest) []batchResponse {
	for _, r := range requests {
		b.ended[r.ID] = make(chan struct{})
		b.mailboxes[r.user()] = make(chan struct{}, mailboxConcurrent)
	}
	var running sync.WaitGroup
	for _, r := range requests {
		running.Go(func() {
			defer close(b.ended[r.ID])
			one := b.one(r)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.answers[r.ID] = one
		})
	}
	running.Wait()
	var responses []batchResponse
	for _, r := range slices.Backward(requests) {
		responses = append(responses, b.answers[r.ID])
	}
	return responses
}

// user is the user in the URL of a request, or "".
func (r batchRequest) user() string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(r.URL, "/"), "users/")
	if !ok {
		return ""
	}
	user, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(user)
}

func (b *batchRun) one(r batchRequest) batchResponse {
	for _, id := range r.DependsOn {
		<-b.ended[id]
		b.mu.Lock()
		status := b.answers[id].Status
		b.mu.Unlock()
		if status >= 400 {
			return refusedStep(r.ID, http.StatusFailedDependency, "FailedDependency", "A request that this one depends on has failed.")
		}
	}
	place := b.mailboxes[r.user()]
	place <- struct{}{}
	defer func() { <-place }()
	return b.serve(r)
}

func (b *batchRun) serve(r batchRequest) (response batchResponse) {
	outer := b.call.Request
	target, err := url.Parse("/v1.0/" + strings.TrimPrefix(r.URL, "/"))
	if err != nil {
		return refusedStep(r.ID, http.StatusBadRequest, "BadRequest", "The url of the request is not valid.")
	}
	inner := outer.Clone(context.WithValue(outer.Context(), insideBatch{}, true))
	inner.Method, inner.URL, inner.RequestURI, inner.Pattern = strings.ToUpper(r.Method), target, target.RequestURI(), ""
	inner.Header = http.Header{"Authorization": outer.Header["Authorization"]}
	for name, value := range r.Headers {
		if !strings.EqualFold(name, "Authorization") {
			inner.Header.Set(name, value)
		}
	}
	inner.Body, inner.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
	recorder := &memory{header: make(http.Header), status: http.StatusOK}
	defer func() {
		// A request whose connection would have been dropped has no answer of its own.
		switch stopped := recover(); stopped {
		case nil:
		case http.ErrAbortHandler:
			response = refusedStep(r.ID, http.StatusBadGateway, "BadGateway", "The request was not answered.")
		default:
			panic(stopped)
		}
	}()
	b.inside.ServeHTTP(recorder, inner)
	response = batchResponse{ID: r.ID, Status: recorder.status, Headers: make(map[string]string), Body: inJSON(recorder.body)}
	for name, values := range recorder.header {
		response.Headers[name] = strings.Join(values, ", ")
	}
	maps.DeleteFunc(response.Headers, func(_, value string) bool { return value == "" })
	return response
}

// inJSON is a body as a batch carries it: what is not JSON, such as a picture, is the
// text of its base64.
func inJSON(body []byte) json.RawMessage {
	if len(body) == 0 || json.Valid(body) {
		return body
	}
	data, err := json.Marshal(body) // which is base64
	if err != nil {
		panic("graphsim: batch answer: " + err.Error()) // bytes cannot fail
	}
	return data
}

// insideBatch marks the context of a request that came in a batch: a fault of
// everything over the wire is not its own.
type insideBatch struct{}

// memory is an http.ResponseWriter that keeps the answer.
type memory struct {
	header http.Header
	status int
	body   []byte
}

func (m *memory) Header() http.Header    { return m.header }
func (m *memory) WriteHeader(status int) { m.status = status }
func (m *memory) Write(data []byte) (int, error) {
	m.body = append(m.body, data...)
	return len(data), nil
}

func refusedStep(id string, status int, code, message string) batchResponse {
	body, err := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": message}})
	if err != nil {
		panic("graphsim: batch answer: " + err.Error()) // strings cannot fail
	}
	return batchResponse{ID: id, Status: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: body}
}

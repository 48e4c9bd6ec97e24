package graphsim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Requests is what the simulator was asked since its start. Requests inside of a
// batch count as well as the batch.
type Requests struct {
	MaxConcurrent int            `json:"maxConcurrent"` // most requests served at one time
	Counts        []RequestCount `json:"counts"`        // sorted by path, method, status
}

// RequestCount counts the answers of one kind.
type RequestCount struct {
	Method string `json:"method"`
	Path   string `json:"path"` // with {user} and the like for what varies; "" for no such path
	Status int    `json:"status"`
	Count  int    `json:"count"`
}

// Of adds up the answers with this method and path; status 0 means any.
func (r Requests) Of(method, path string, status int) int {
	total := 0
	for _, c := range r.Counts {
		if c.Method == method && c.Path == path && (status == 0 || c.Status == status) {
			total += c.Count
		}
	}
	return total
}

// Requests returns the counters of requests.
func (s *Server) Requests() Requests { return s.counter.snapshot() }

type requestCounter struct {
	active, most atomic.Int64
	mu           sync.Mutex
	counts       map[RequestCount]int // by a RequestCount with Count 0
}

func (c *requestCounter) count(next http.Handler) http.Handler {
	c.counts = make(map[RequestCount]int)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active := c.active.Add(1)
		defer c.active.Add(-1)
		for most := c.most.Load(); active > most && !c.most.CompareAndSwap(most, active); most = c.most.Load() {
		}
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			c.note(r, recorder.status)
		}()
		next.ServeHTTP(recorder, r)
	})
}

// inner counts requests that came inside of another.
func (c *requestCounter) inner(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() { c.note(r, recorder.status) }()
		next.ServeHTTP(recorder, r)
	})
}

func (c *requestCounter) note(r *http.Request, status int) {
	// The mux leaves its pattern in the request: "GET /v1.0/users/{user}".
	_, path, found := strings.Cut(r.Pattern, " ")
	if !found {
		path = r.Pattern
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[RequestCount{r.Method, path, status, 0}]++
}

func (c *requestCounter) snapshot() Requests {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := Requests{MaxConcurrent: int(c.most.Load())}
	for key, count := range c.counts {
		key.Count = count
		all.Counts = append(all.Counts, key)
	}
	slices.SortFunc(all.Counts, func(a, b RequestCount) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method), cmp.Compare(a.Status, b.Status))
	})
	return all
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

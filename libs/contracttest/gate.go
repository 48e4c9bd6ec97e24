package contracttest

import (
	"bytes"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"offhook.dev/libs/secret"
)

// Gate is a proxy between a client and a server, over TLS on both sides, that holds
// every exchange against a contract. It closes with the test.
type Gate struct {
	URL string // what the client is given instead of the server's

	contract  *Contract // or nil
	target    *url.URL
	transport *http.Transport

	mu        sync.Mutex // of what follows
	spoil     func(*Exchange)
	exchanges []Exchange
	seen      map[string]bool // "GET /users 200"
	findings  []string
}

// NewGate opens a gate to target, whose certificate authority issues the gate's as
// well. Without a contract the gate only remembers what passes.
func NewGate(t *testing.T, authority *secret.Authority, target string, c *Contract) *Gate {
	t.Helper()
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{contract: c, seen: map[string]bool{}, transport: &http.Transport{DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}}
	if g.target, err = url.Parse(target); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	g.URL = server.URL
	t.Cleanup(g.transport.CloseIdleConnections)
	t.Cleanup(server.Close)
	return g
}

// serve passes a request on. Its Host stays the gate's, so that the links in
// answers lead through the gate again.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	onward := r.Clone(r.Context())
	onward.URL.Scheme, onward.URL.Host, onward.RequestURI = g.target.Scheme, g.target.Host, ""
	onward.Body = http.NoBody
	if len(sent) > 0 {
		onward.Body = io.NopCloser(bytes.NewReader(sent))
	}
	response, err := g.transport.RoundTrip(onward)
	if err != nil {
		panic(http.ErrAbortHandler) // the server hung up: so does the gate
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x := g.pass(Exchange{r, sent, response.StatusCode, response.Header, answer})
	maps.Copy(w.Header(), x.Header)
	w.Header().Del("Content-Length")
	w.WriteHeader(x.Status)
	_, _ = w.Write(x.Answer) // the client may have left
}

// pass spoils and judges an exchange.
func (g *Gate) pass(x Exchange) Exchange {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spoil != nil {
		g.spoil(&x)
	}
	g.exchanges = append(g.exchanges, x)
	if g.contract != nil {
		operation, found := g.contract.Violations(x)
		operation += " " + strconv.Itoa(x.Status)
		g.seen[operation] = true
		for _, violation := range found {
			g.findings = append(g.findings, operation+": "+violation)
		}
	}
	return x
}

// Spoil has change applied to every exchange from now on before it is judged and
// answered. It is for controls: what is spoilt must be found.
func (g *Gate) Spoil(change func(*Exchange)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoil = change
}

// Passed returns what went through so far.
func (g *Gate) Passed() []Exchange {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.exchanges)
}

// Findings returns the violations so far, each with its operation and status:
// "GET /users 200: answer: ...".
func (g *Gate) Findings() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.findings)
}

// Verdict fails the test for every violation, and unless exactly these operations
// ("GET /users 200") were seen: what was never sent, or was taken for something
// else, proves nothing.
func (g *Gate) Verdict(t *testing.T, operations ...string) {
	t.Helper()
	for _, problem := range g.problems(operations) {
		t.Error(problem)
	}
}

func (g *Gate) problems(operations []string) []string {
	all := g.Findings()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, operation := range operations {
		if !g.seen[operation] {
			all = append(all, operation+": never seen")
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(g.seen)) {
		if !slices.Contains(operations, operation) {
			all = append(all, operation+": seen, but not expected")
		}
	}
	return all
}

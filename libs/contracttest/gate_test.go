package contracttest

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/secret"
)

// gated is a gate before a server that answers everything with the host it was
// called by, and a client's GET.
func gated(t *testing.T, c *Contract) (*Gate, func(path string) string) {
	t.Helper()
	authority, err := secret.NewAuthority("phones", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"value":[{"page":"https://`+r.Host+`/7"}]}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)

	g := NewGate(t, authority, server.URL, c)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return g, func(path string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
}

func TestTheGatePassesEverythingOnAndLinksLeadThroughIt(t *testing.T) {
	g, get := gated(t, phones(t))
	if body := get("/v1/phones?$top=5"); !strings.Contains(body, g.URL+"/7") {
		t.Errorf("the answer is %s", body)
	}
	if all := g.Passed(); len(all) != 1 || all[0].Request.URL.RawQuery != "$top=5" || all[0].Status != http.StatusOK {
		t.Errorf("passed: %+v", all)
	}
	g.Verdict(t, "GET /phones 200")
}

func TestWithoutAContractTheGateOnlyRemembers(t *testing.T) {
	g, get := gated(t, nil)
	get("/v1/faxes")
	if len(g.Passed()) != 1 || len(g.Findings()) != 0 {
		t.Errorf("passed %d, found %q", len(g.Passed()), g.Findings())
	}
}

func TestTheVerdictNamesWhatIsWrongMissingAndTooMuch(t *testing.T) {
	g, get := gated(t, phones(t))
	get("/v1/phones")
	if got := g.problems([]string{"GET /phones 200"}); len(got) != 0 {
		t.Errorf("in order, but %q", got)
	}
	if got, want := g.problems([]string{"GET /phones({id}) 200"}), []string{
		"GET /phones({id}) 200: never seen", "GET /phones 200: seen, but not expected",
	}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	g.Spoil(func(x *Exchange) { x.Answer = []byte(`{"value":"none"}`) })
	if body := get("/v1/phones"); body != `{"value":"none"}` {
		t.Errorf("the client got %s", body)
	}
	if got := g.problems([]string{"GET /phones 200"}); len(got) != 1 || !strings.HasPrefix(got[0], "GET /phones 200: answer: ") {
		t.Errorf("spoilt, but %q", got)
	}
}

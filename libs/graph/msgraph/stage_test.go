package msgraph_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

const (
	anna = identity.User("00000000-0000-0000-0000-00000000000a")
	ben  = identity.User("00000000-0000-0000-0000-00000000000b")
)

// arrival is one request as the stage saw it.
type arrival struct {
	method, path, query, body string
	header                    http.Header
	length                    int64
	at                        time.Time
}

// stage is a Graph that answers as a test tells it, over HTTP/1.1 and TLS.
type stage struct {
	*httptest.Server

	mu          sync.Mutex
	arrivals    []arrival
	connections int
}

// newStage serves answer, which is told how many requests came before.
func newStage(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *stage {
	t.Helper()
	s := &stage{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its caller gave up before all was sent: nothing has arrived
		}
		s.mu.Lock()
		n := len(s.arrivals)
		s.arrivals = append(s.arrivals, arrival{r.Method, r.URL.Path, r.URL.RawQuery, string(body), r.Header.Clone(), r.ContentLength, time.Now()})
		s.mu.Unlock()
		answer(n, w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *stage) seen() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]arrival(nil), s.arrivals...)
}

func (s *stage) dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// fixed is a TokenSource that always has the same token, or none.
type fixed string

func (f fixed) Token(context.Context) (graph.Token, error) {
	return graph.Token{Value: secret.NewValue(string(f)), Expires: time.Now().Add(time.Hour)}, nil
}

// client makes a client of the stage; change may be nil.
func (s *stage) client(t testing.TB, change func(*msgraph.Config)) *msgraph.Client {
	t.Helper()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	config := msgraph.Config{Tenant: "contoso", Cloud: cloudAt(t, s.URL), Tokens: fixed("the-token"), Roots: roots}
	if change != nil {
		change(&config)
	}
	client, err := msgraph.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func cloudAt(t testing.TB, url string) graph.Cloud {
	t.Helper()
	cloud, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	if cloud, err = cloud.At(url, url); err != nil {
		t.Fatal(err)
	}
	return cloud
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func refuse(w http.ResponseWriter, status int, retryAfter, code string) {
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	reply(w, status, fmt.Sprintf(`{"error":{"code":%q,"message":"as asked","innerError":{"request-id":"r"}}}`, code))
}

const annaBusy = `{"value":[{"id":"00000000-0000-0000-0000-00000000000A","availability":"Busy","activity":"InAMeeting","sequenceNumber":"A7","outOfOfficeSettings":{"isOutOfOffice":true,"message":null}}]}`

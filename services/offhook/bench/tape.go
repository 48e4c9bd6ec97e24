package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

// tape is the endpoint that the subscription names. It catches what the simulated
// tenant posts, so that the same bytes can be played to the receiver at any rate:
// signing and encrypting costs the machine as much as reading, and would take away
// from what is measured.
type tape struct {
	url    string // of the public endpoint, without a path
	server *http.Server

	mu     sync.Mutex // guards what follows
	posted string     // the path that Graph posts to, with its secret
	bodies map[string][]byte
}

// scene is what the tape holds of one presence: a post for each user, in the order
// of the users, and what their phones show when it has arrived.
type scene struct {
	availability string
	status       presence.Status
	bodies       [][]byte
}

// newTape listens as the host that authority vouches for.
func newTape(ctx context.Context, authority *secret.Authority) (*tape, error) {
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tape{url: "https://" + listener.Addr().String(), bodies: map[string][]byte{}}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 5 * time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}}
	go func() { _ = t.server.ServeTLS(listener, "", "") }() // ends with close
	return t, nil
}

func (t *tape) close() { _ = t.server.Close() }

// ServeHTTP answers handshakes and keeps the newest post about each user.
func (t *tape) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if token := req.URL.Query().Get("validationToken"); token != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, token)
		return
	}
	body, err := io.ReadAll(req.Body)
	user := subject(body)
	if err != nil || user == "" || !strings.HasSuffix(req.URL.Path, "/notifications") {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	t.mu.Lock()
	t.posted, t.bodies[user] = req.URL.Path, body
	t.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

// collection is a post of rich notifications.
type collection struct {
	Value  []json.RawMessage `json:"value"`
	Tokens []string          `json:"validationTokens"`
}

// subject returns who a post of one item is about, or "".
func subject(body []byte) string {
	var posted struct {
		Value []struct {
			Data struct {
				ID string `json:"id"`
			} `json:"resourceData"`
			Content json.RawMessage `json:"encryptedContent"`
		} `json:"value"`
	}
	if json.Unmarshal(body, &posted) != nil || len(posted.Value) != 1 || posted.Value[0].Content == nil {
		return ""
	}
	return posted.Value[0].Data.ID
}

func (t *tape) path() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.posted
}

// record has all users change to a presence and keeps what was posted about each.
func (in *installation) record(availability string, status presence.Status) (scene, error) {
	s := scene{availability: availability, status: status}
	// The same again would be no change: everyone goes somewhere else first.
	if err := in.everyone("Away"); err != nil {
		return s, err
	}
	in.tape.mu.Lock()
	clear(in.tape.bodies)
	in.tape.mu.Unlock()
	if err := in.everyone(availability); err != nil {
		return s, err
	}
	in.tape.mu.Lock()
	defer in.tape.mu.Unlock()
	for _, id := range in.tenant().UserIDs() {
		body, ok := in.tape.bodies[id]
		if !ok {
			return s, fmt.Errorf("the simulated tenant posted nothing about %s", id)
		}
		s.bodies = append(s.bodies, body)
	}
	return s, nil
}

// silence keeps the simulated tenant from posting what changes from now on: the
// tape has it. Polls still see it.
func (in *installation) silence() error {
	_, err := in.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultSilent})
	return err
}

// everyone sets all presences and waits until the tape has all posts.
func (in *installation) everyone(availability string) error {
	for _, id := range in.tenant().UserIDs() {
		if err := in.tenant().SetPresence(id, availability, availability); err != nil {
			return err
		}
	}
	return in.await(time.Minute, func() (string, error) {
		if pending := in.tenant().Ledger().Total.Pending; pending > 0 {
			return fmt.Sprintf("%d posts are to come", pending), nil
		}
		return "", nil
	})
}

// together makes one post of many, as Graph does when much changes at once.
func together(bodies [][]byte) ([]byte, error) {
	var all collection
	for _, body := range bodies {
		var one collection
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, err
		}
		all.Value, all.Tokens = append(all.Value, one.Value...), one.Tokens
	}
	return json.Marshal(all)
}

// forged is a post whose sender does not know the subscription's secret.
func forged(body []byte) ([]byte, error) {
	var c struct {
		Value  []map[string]any `json:"value"`
		Tokens []string         `json:"validationTokens"`
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, err
	}
	for _, item := range c.Value {
		item["clientState"] = "guessed"
	}
	return json.Marshal(c)
}

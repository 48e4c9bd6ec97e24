package sippresence

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/libs/secret"
)

const (
	domain   = kamailiotest.Domain
	username = kamailiotest.Username
	password = kamailiotest.Password
)

// server is a small presence server: one document per user, as FreeSWITCH keeps
// it, with the entity tags of RFC 3903 and digest. It shares no code with the
// driver that could hide a mistake.
type server struct {
	ua      *sipgo.UserAgent
	client  *sipgo.Client
	closers []func() error
	serving sync.WaitGroup
	address map[Transport]string
	roots   *secret.Authority

	mu       sync.Mutex
	users    map[string]*user
	calls    map[string]*user // what is published for Event: dialog
	received []message        // without those that were challenged
	fault    pbxtest.Fault
	changed  chan struct{} // closed when the fault changes
	nonce    int
	nonces   map[string][]string                // the counts of the good answers, by nonce
	refused  int                                // challenges given
	answered string                             // the algorithm of the last answer
	rejected int                                // answers to challenges that were not taken
	script   []func(*sip.Request) *sip.Response // answers for the next requests, before anything is done
	lamps    []func(*sip.Request) *sip.Response // answers for the next requests for Event: dialog
	behaviour
}

// behaviour is how the server differs from a plain one. Read it with now, change
// it with behave.
type behaviour struct {
	open         bool          // no digest
	proxy        bool          // 407 instead of 401
	realm        string        // of its challenges
	password     string        // of the account
	algorithms   []string      // of its challenges, one each
	protection   string        // the qop of these
	staleNonces  int           // that many answers are told that their nonce is stale
	nonceUses    int           // a nonce is good for so many answers; 0: for ever
	silent       bool          // does not say that a nonce is stale
	shortest     time.Duration // 423 below
	longest      time.Duration // grants at most this; 0: what is asked for
	notifyEarly  bool          // NOTIFY before the response to SUBSCRIBE
	notifyType   string        // instead of application/pidf+xml
	notifyReason string        // of the Subscription-State
	noTags       bool          // 200 without SIP-ETag
	noDialog     int           // answers this to Event: dialog; 0: serves it
}

func (s *server) behave(change func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

func (s *server) now() behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}

type user struct {
	etag    string
	expires time.Time
	body    string
}

// message is what a test wants to know of a request.
type message struct {
	method, user, etag string
	body               bool
	expires            int
	dialog             bool // for Event: dialog
}

func newServer(t testing.TB, extensions ...identity.Extension) *server {
	t.Helper()
	authority, err := secret.NewAuthority("presence server", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: make(map[Transport]string), users: make(map[string]*user), calls: make(map[string]*user), changed: make(chan struct{}), roots: authority,
		nonces: make(map[string][]string), behaviour: behaviour{realm: domain, password: password, algorithms: []string{"MD5"}, protection: "auth"}}
	for _, ext := range extensions {
		s.users[string(ext)], s.calls[string(ext)] = &user{}, &user{}
	}
	silent := slog.New(slog.DiscardHandler)
	s.ua, err = sipgo.NewUA(
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(silent)))
	if err != nil {
		t.Fatal(err)
	}
	if s.client, err = sipgo.NewClient(s.ua); err != nil {
		t.Fatal(err)
	}
	handler, err := sipgo.NewServer(s.ua, sipgo.WithServerLogger(silent))
	if err != nil {
		t.Fatal(err)
	}
	handler.OnPublish(s.handle)
	handler.OnSubscribe(s.handle)

	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address[UDP] = packets.LocalAddr().String()
	s.closers = append(s.closers, packets.Close)
	s.serving.Go(func() { _ = handler.ServeUDP(packets) })

	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address[TCP] = plain.Addr().String()
	s.closers = append(s.closers, plain.Close)
	s.serving.Go(func() { _ = handler.ServeTCP(plain) })

	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	secured, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	s.address[TLS] = secured.Addr().String()
	s.closers = append(s.closers, secured.Close)
	s.serving.Go(func() { _ = handler.ServeTLS(secured) })
	t.Cleanup(s.close)
	return s
}

// config is how a driver reaches the server.
func (s *server) config(transport Transport) Config {
	return Config{Server: s.address[transport], Transport: transport, Domain: domain,
		Username: username, Password: secret.NewValue(password), Roots: s.roots.Pool()}
}

func (s *server) close() {
	s.inject(pbxtest.None)
	for _, c := range s.closers {
		_ = c()
	}
	s.closers = nil
	_ = s.ua.Close()
	s.serving.Wait()
}

func (s *server) inject(f pbxtest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	close(s.changed)
	s.changed = make(chan struct{})
}

// messages returns what was received, without the challenged ones.
func (s *server) messages() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// answer scripts the next request's response.
func (s *server) answer(script ...func(*sip.Request) *sip.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, script...)
}

// answerLamps scripts the next responses to requests for Event: dialog.
func (s *server) answerLamps(script ...func(*sip.Request) *sip.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lamps = append(s.lamps, script...)
}

// code answers with a status and headers ("Name", "value", ...).
func code(status int, headers ...string) func(*sip.Request) *sip.Response {
	return func(req *sip.Request) *sip.Response {
		res := sip.NewResponseFromRequest(req, status, "Scripted", nil)
		for i := 0; i+1 < len(headers); i += 2 {
			res.AppendHeader(sip.NewHeader(headers[i], headers[i+1]))
		}
		return res
	}
}

// forget is a restart: all publications are gone.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.users {
		s.users[name], s.calls[name] = &user{}, &user{}
	}
}

// document is what a user shows, "" without a living publication.
func (s *server) document(ext identity.Extension) string { return s.living(s.users, ext) }

// call is the document of a user's call, "" without a living publication.
func (s *server) call(ext identity.Extension) string { return s.living(s.calls, ext) }

func (s *server) living(users map[string]*user, ext identity.Extension) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := users[string(ext)]; u != nil && (u.etag == "" || u.expires.After(time.Now())) {
		return u.body
	}
	return ""
}

// place puts a document there as another client of the user would.
func (s *server) place(ext identity.Extension, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[string(ext)]; u != nil {
		u.body = body
	}
}

func (s *server) handle(req *sip.Request, tx sip.ServerTransaction) {
	if res := s.challenge(req); res != nil {
		_ = tx.Respond(res)
		return
	}
	s.mu.Lock()
	s.received = append(s.received, digestOf(req))
	fault, changed := s.fault, s.changed
	var scripted func(*sip.Request) *sip.Response
	script := &s.script
	if digestOf(req).dialog {
		script = &s.lamps
	}
	if len(*script) > 0 {
		scripted, *script = (*script)[0], (*script)[1:]
	}
	s.mu.Unlock()
	if scripted != nil {
		if res := scripted(req); res != nil {
			_ = tx.Respond(res)
		}
		return
	}
	switch fault {
	case pbxtest.Throttle:
		_ = tx.Respond(code(503, "Retry-After", strconv.Itoa(int(pbxtest.ThrottleDelay/time.Second))+" (busy)")(req))
		return
	case pbxtest.Down:
		_ = tx.Respond(code(503)(req))
		return
	case pbxtest.Deny:
		_ = tx.Respond(code(403)(req))
		return
	case pbxtest.Hang:
		<-changed
		return
	}
	s.mu.Lock()
	u := s.users[req.Recipient.User]
	if digestOf(req).dialog {
		u = s.calls[req.Recipient.User]
	}
	s.mu.Unlock()
	if u == nil {
		_ = tx.Respond(code(404)(req))
		return
	}
	if req.Method == sip.PUBLISH {
		res := s.publish(req, u)
		if fault == pbxtest.LostAnswer {
			<-changed
			return
		}
		_ = tx.Respond(res)
		return
	}
	s.subscribe(req, tx, u, fault)
}

func digestOf(req *sip.Request) message {
	m := message{method: string(req.Method), user: req.Recipient.User, body: len(req.Body()) > 0}
	if h := req.GetHeader("Event"); h != nil {
		m.dialog = h.Value() == "dialog"
	}
	if h := req.GetHeader("SIP-If-Match"); h != nil {
		m.etag = h.Value()
	}
	if h := req.GetHeader("Expires"); h != nil {
		m.expires, _ = strconv.Atoi(h.Value())
	}
	return m
}

// publish follows RFC 3903 section 6.
func (s *server) publish(req *sip.Request, u *user) *sip.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := digestOf(req)
	asked := time.Duration(m.expires) * time.Second
	switch {
	case m.dialog && s.noDialog != 0:
		return code(s.noDialog)(req)
	case m.body && req.GetHeader("Content-Type").Value() != map[bool]string{false: pidfType, true: dialogType}[m.dialog]:
		return code(415)(req)
	case req.GetHeader("Event") == nil || !m.dialog && req.GetHeader("Event").Value() != "presence":
		return code(489)(req)
	case m.etag != "" && (m.etag != u.etag || !u.expires.After(time.Now())):
		return code(412)(req)
	case asked > 0 && asked < s.shortest:
		return code(423, "Min-Expires", strconv.Itoa(int(s.shortest/time.Second)))(req)
	case m.etag == "" && !m.body:
		return code(400)(req)
	}
	if s.longest > 0 {
		asked = min(asked, s.longest)
	}
	if m.body {
		u.body = string(req.Body())
	}
	s.nonce++
	u.etag, u.expires = fmt.Sprintf("tag-%d", s.nonce), time.Now().Add(asked)
	if asked == 0 {
		*u = user{}
	}
	if s.noTags {
		return code(200, "Expires", strconv.Itoa(int(asked/time.Second)))(req)
	}
	return code(200, "SIP-ETag", fmt.Sprintf("tag-%d", s.nonce), "Expires", strconv.Itoa(int(asked/time.Second)))(req)
}

// subscribe answers a fetch.
func (s *server) subscribe(req *sip.Request, tx sip.ServerTransaction, u *user, fault pbxtest.Fault) {
	if now := s.now(); digestOf(req).dialog && now.noDialog != 0 {
		_ = tx.Respond(code(now.noDialog)(req))
		return
	}
	res := code(200, "Expires", "0")(req)
	s.mu.Lock()
	body := u.body
	if u.etag != "" && !u.expires.After(time.Now()) {
		body = ""
	}
	s.mu.Unlock()
	if fault == pbxtest.Garbage {
		body = "<presence><tuple"
	}
	if fault == pbxtest.LostAnswer {
		return
	}
	if s.now().notifyEarly {
		s.notify(req, res, body)
		_ = tx.Respond(res)
		return
	}
	_ = tx.Respond(res)
	s.notify(req, res, body)
}

func (s *server) notify(subscribe *sip.Request, res *sip.Response, body string) {
	contact := subscribe.Contact()
	if contact == nil {
		return
	}
	req := sip.NewRequest(sip.NOTIFY, contact.Address)
	req.SetTransport(subscribe.Transport())
	req.SetDestination(net.JoinHostPort(strings.Trim(contact.Address.Host, "[]"), strconv.Itoa(contact.Address.Port)))
	req.AppendHeader(&sip.FromHeader{Address: res.To().Address, Params: res.To().Params})
	req.AppendHeader(&sip.ToHeader{Address: res.From().Address, Params: res.From().Params})
	id := sip.CallIDHeader(subscribe.CallID().Value())
	req.AppendHeader(&id)
	event := subscribe.GetHeader("Event").Value()
	req.AppendHeader(sip.NewHeader("Event", event))
	now, reason := s.now(), "timeout"
	if now.notifyReason != "" {
		reason = now.notifyReason
	}
	req.AppendHeader(sip.NewHeader("Subscription-State", "terminated;reason="+reason))
	if body != "" {
		kind := map[string]string{"presence": pidfType, "dialog": dialogType}[event]
		if now.notifyType != "" {
			kind = now.notifyType
		}
		req.AppendHeader(sip.NewHeader("Content-Type", kind))
		req.SetBody([]byte(body))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = s.client.Do(ctx, req)
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

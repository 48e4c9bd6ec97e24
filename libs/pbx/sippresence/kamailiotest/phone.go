package kamailiotest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
)

// phone is a SIP phone with one socket, or one connection to the server.
type phone struct {
	server    *Server
	transport string
	port      int // of the socket
	client    *sipgo.Client
}

// phone makes a phone that exists until the end of the test and hears NOTIFYs.
func (s *Server) phone(t testing.TB, transport string, hear func(*sip.Request)) *phone {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent("phone"),
		sipgo.WithUserAgenTLSConfig(&tls.Config{RootCAs: s.Authority.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(silent)))
	must(t, err)
	t.Cleanup(func() { _ = ua.Close() })
	handler, err := sipgo.NewServer(ua, sipgo.WithServerLogger(silent))
	must(t, err)
	handler.OnNotify(func(req *sip.Request, tx sip.ServerTransaction) {
		hear(req)
		_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	p := &phone{server: s, transport: transport, port: freePort(t)}
	p.client, err = sipgo.NewClient(ua, sipgo.WithClientConnectionAddr(fmt.Sprintf("127.0.0.1:%d", p.port)))
	must(t, err)
	return p
}

// send sends a request, with the credentials of the account, and returns how the server
// answered.
func (p *phone) send(t testing.TB, req *sip.Request) int {
	t.Helper()
	req.SetTransport(strings.ToUpper(p.transport))
	req.SetDestination(p.server.Address(p.transport))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	res, err := p.client.Do(ctx, req)
	if err == nil && res.StatusCode == sip.StatusUnauthorized {
		res, err = p.client.DoDigestAuth(ctx, req, res, sipgo.DigestAuth{Username: Username, Password: Password})
	}
	must(t, err)
	return res.StatusCode
}

// request makes a request about an extension and an event of it.
func (p *phone) request(method sip.RequestMethod, ext identity.Extension, event string) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", User: string(ext), Host: Domain})
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "phone", Host: Domain}, Params: sip.NewParams()}
	from.Params.Add("tag", "phone")
	req.AppendHeader(from)
	contact := &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "phone", Host: "127.0.0.1", Port: p.port}}
	if p.transport != UDP {
		contact.Address.UriParams = sip.NewParams()
		contact.Address.UriParams.Add("transport", p.transport)
	}
	req.AppendHeader(contact)
	req.AppendHeader(sip.NewHeader("Event", event))
	req.AppendHeader(sip.NewHeader("Expires", "600"))
	return req
}

// subscribe makes a phone that subscribes to an event of an extension until the end of
// the test, hears its NOTIFYs, and returns how the server answered.
func (s *Server) subscribe(t testing.TB, transport string, ext identity.Extension, event, accept string, hear func(*sip.Request)) int {
	t.Helper()
	p := s.phone(t, transport, hear)
	req := p.request(sip.SUBSCRIBE, ext, event)
	req.AppendHeader(sip.NewHeader("Accept", accept))
	return p.send(t, req)
}

// Call tells the server of a real call of an extension, as a PBX does that publishes its
// calls: its state is confirmed or terminated.
func (s *Server) Call(t testing.TB, ext identity.Extension, id, state string) {
	t.Helper()
	p := s.phone(t, UDP, func(*sip.Request) {})
	req := p.request(sip.PUBLISH, ext, "dialog")
	req.AppendHeader(sip.NewHeader("Content-Type", callsType))
	req.SetBody([]byte(fmt.Sprintf(`<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="7" state="partial" entity="sip:%s@%s">`+
		`<dialog id="%s" call-id="%s" direction="recipient"><state>%s</state></dialog></dialog-info>`, ext, Domain, id, id, state)))
	if status := p.send(t, req); status != 200 {
		t.Fatalf("a call of %s: %d", ext, status)
	}
}

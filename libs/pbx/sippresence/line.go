package sippresence

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
)

// line is the way to the presence server: one request, one final response, with
// digest in between. Retransmission and its end (64*T1 = 32 s) are sipgo's.
type line struct {
	config Config
	ua     *sipgo.UserAgent

	// life ends when the line is closed, and every request with it. It is here
	// because requests come with contexts of their own.
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	calls   sync.WaitGroup
	fetches map[string]*fetch // by Call-ID
}

func newLine(life context.Context, config Config) (*line, error) {
	// Drivers do not log, and sipgo would log whole messages.
	silent := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgenTLSConfig(config.tls()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(silent),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}),
			sip.WithTransactionLayerTerminateOnConnClose(),
		),
	)
	if err != nil {
		return nil, err
	}
	l := &line{config: config, ua: ua, fetches: make(map[string]*fetch)}
	l.life, l.end = context.WithCancel(life)
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(silent)) // answers on the client's sockets
	if err != nil {
		return nil, err
	}
	server.OnNotify(l.notified)
	return l, nil
}

// close ends all requests, waits for them, and closes the sockets.
func (l *line) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.calls.Wait()
	return l.ua.Close()
}

// begin admits a request. Its context ends with the line; done must be called.
func (l *line) begin(ctx context.Context, op string) (_ context.Context, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, fault.New(fault.Unavailable, op, errClosed)
	}
	l.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.life, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		l.calls.Done()
	}, nil
}

// do sends a request and returns its final response, whatever that says; errors
// are classified. A SUBSCRIBE gets the Contact at which its NOTIFY will be heard.
func (l *line) do(ctx context.Context, op string, req *sip.Request) (*sip.Response, error) {
	ctx, done, err := l.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer done()
	host, server, err := l.route(ctx)
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	client, err := sipgo.NewClient(l.ua, sipgo.WithClientNAT(), sipgo.WithClientHostname(host))
	if err != nil {
		return nil, fault.New(fault.Unknown, op, err)
	}
	req.SetTransport(strings.ToUpper(string(l.config.Transport)))
	req.SetDestination(server)
	if err := sipgo.ClientRequestBuild(client, req); err != nil {
		return nil, fault.New(fault.Unknown, op, err)
	}
	conn, err := l.ua.TransportLayer().ClientRequestConnection(ctx, req)
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	defer func() { _, _ = conn.TryClose() }() // gives back our reference; the connection stays
	if req.Method == sip.SUBSCRIBE {
		req.AppendHeader(l.contact(host, conn))
	}
	return l.converse(ctx, op, client, req)
}

// converse sends the request, and again with credentials if it is challenged: once,
// and once more if the server says that only its nonce had become stale.
func (l *line) converse(ctx context.Context, op string, client *sipgo.Client, req *sip.Request) (*sip.Response, error) {
	tx, err := client.TransactionRequest(ctx, req)
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	for answered := 0; ; answered++ {
		res, err := await(ctx, tx)
		if err != nil {
			return nil, unanswered(ctx, op, err)
		}
		if !challenges(res) || answered > 0 && (answered > 1 || !stale(res)) {
			return res, nil
		}
		if l.config.Username == "" {
			return nil, fault.New(fault.Denied, op, errNoAccount)
		}
		req = req.Clone() // the ended transaction may still be writing the old one
		tx, err = client.TransactionDigestAuth(ctx, req, res,
			sipgo.DigestAuth{Username: l.config.Username, Password: l.config.Password.Reveal()})
		if err != nil {
			return nil, unchallenged(ctx, op, err)
		}
	}
}

// await returns the final response. The transaction is over afterwards.
func await(ctx context.Context, tx sip.ClientTransaction) (*sip.Response, error) {
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, tx.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func challenges(res *sip.Response) bool {
	return res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
}

// stale says whether only the nonce of the last answer was wrong (RFC 7616
// section 3.3).
func stale(res *sip.Response) bool {
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		if header := res.GetHeader(name); header != nil {
			value := strings.ReplaceAll(strings.ToLower(header.Value()), `"`, "")
			if strings.Contains(strings.ReplaceAll(value, " ", ""), "stale=true") {
				return true
			}
		}
	}
	return false
}

// unchallenged classifies the failure to answer a challenge: either the answer did
// not leave, or the challenge is of a kind that cannot be answered.
func unchallenged(ctx context.Context, op string, err error) error {
	var network net.Error
	if ctx.Err() != nil || errors.As(err, &network) || errors.Is(err, sip.ErrTransactionTransport) {
		return unreachable(ctx, op, err)
	}
	return fault.Errorf(fault.Denied, op, "the digest challenge cannot be answered: %w", err)
}

// route finds the server's address and ours on the way to it. Nothing is sent; it
// is asked each time because both may change while we run.
func (l *line) route(ctx context.Context) (host, server string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", l.config.Server)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	host, _, err = net.SplitHostPort(conn.LocalAddr().String())
	return host, conn.RemoteAddr().String(), err
}

func (l *line) contact(host string, conn sip.Connection) *sip.ContactHeader {
	_, port, _ := sip.ParseAddr(conn.LocalAddr().String()) // an address of the net package
	contact := &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "offhook", Host: host, Port: port}}
	if l.config.Transport != UDP {
		contact.Address.UriParams = sip.NewParams()
		contact.Address.UriParams.Add("transport", string(l.config.Transport))
	}
	return contact
}

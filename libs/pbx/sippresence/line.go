package sippresence

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

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

	routes routes
	kept   keptChallenge
	server atomic.Pointer[string] // the header Server of its last answer that had one; nil: none had

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
	way, err := l.routes.get(ctx, l.ua, l.config.Server)
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	req.SetTransport(strings.ToUpper(string(l.config.Transport)))
	req.SetDestination(way.server)
	if req.Method == sip.SUBSCRIBE {
		done, err := l.reach(ctx, way, req)
		if err != nil {
			l.routes.failed(way)
			return nil, unreachable(ctx, op, err)
		}
		defer done()
	}
	res, err := l.converse(ctx, op, way.client, req)
	if err != nil {
		l.routes.failed(way)
		return nil, err
	}
	l.named(res)
	return res, nil
}

// named keeps what a server calls itself (RFC 3261 section 20.35), which it need not tell.
func (l *line) named(res *sip.Response) {
	header := res.GetHeader("Server")
	if header == nil {
		return
	}
	says := header.Value()
	if known := l.server.Load(); says != "" && (known == nil || *known != says) {
		l.server.Store(&says)
	}
}

// reach gives a request the Contact of the connection by which it goes, which stays open
// until done is called at least.
func (l *line) reach(ctx context.Context, way *route, req *sip.Request) (done func(), err error) {
	if err := sipgo.ClientRequestBuild(way.client, req); err != nil {
		return nil, err
	}
	conn, err := l.ua.TransportLayer().ClientRequestConnection(ctx, req)
	if err != nil {
		return nil, err
	}
	req.AppendHeader(l.contact(req.Recipient, way.host, conn))
	return func() { _, _ = conn.TryClose() }, nil // gives back our reference
}

// converse sends the request, with the answer to a challenge that the server has given
// before. If it is challenged it is sent again with the answer to that: once, and once
// more if the server says that only its nonce had become stale.
func (l *line) converse(ctx context.Context, op string, client *sipgo.Client, req *sip.Request) (*sip.Response, error) {
	first := l.kept.get()
	if first != nil {
		if err := first.answer(req, l.config); err != nil {
			return nil, unanswerable(op, err)
		}
	}
	for answered, last := 0, first; ; answered++ {
		res, err := transact(ctx, op, client, req)
		switch {
		case err != nil:
			return nil, err
		case !challenges(res):
			l.kept.fits(first, last)
			return res, nil
		case answered > 1, answered > 0 && !stale(res):
			l.kept.drop(first)
			return res, nil
		case l.config.Username == "":
			return nil, fault.New(fault.Denied, op, errNoAccount)
		}
		if last, err = challengeIn(res); err != nil {
			return nil, unanswerable(op, err)
		}
		req = req.Clone() // the ended transaction may still be writing the old one
		if err := last.answer(req, l.config); err != nil {
			return nil, unanswerable(op, err)
		}
		req.CSeq().SeqNo++ // RFC 3261 section 22.2
		req.RemoveHeader("Via")
	}
}

// transact sends a request as it is and returns the final response.
func transact(ctx context.Context, op string, client *sipgo.Client, req *sip.Request) (*sip.Response, error) {
	tx, err := client.TransactionRequest(ctx, req)
	if err != nil {
		return nil, unreachable(ctx, op, err)
	}
	res, err := await(ctx, tx)
	if err != nil {
		return nil, unanswered(ctx, op, err)
	}
	return res, nil
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

// unanswerable is a challenge of a kind that is not ours.
func unanswerable(op string, err error) error {
	return fault.Errorf(fault.Denied, op, "the digest challenge cannot be answered: %w", err)
}

// contact is where a connection is reached, for a request about an address. For a sips one
// it has to be sips (RFC 3261 section 8.1.1.8), which is tls without saying so.
func (l *line) contact(about sip.Uri, host string, conn sip.Connection) *sip.ContactHeader {
	_, port, _ := sip.ParseAddr(conn.LocalAddr().String()) // an address of the net package
	contact := &sip.ContactHeader{Address: sip.Uri{Scheme: about.Scheme, User: "offhook", Host: host, Port: port}}
	if l.config.Transport != UDP && about.Scheme != "sips" {
		contact.Address.UriParams = sip.NewParams()
		contact.Address.UriParams.Add("transport", string(l.config.Transport))
	}
	return contact
}

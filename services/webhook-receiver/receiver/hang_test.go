package receiver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// hanging is a way to a broker that can stop answering without closing anything, as
// a broker does that was stopped with SIGSTOP or whose disk hangs.
type hanging struct {
	nats.InProcessConnProvider
	once sync.Once
	hung chan struct{}
}

func (h *hanging) hang() { h.once.Do(func() { close(h.hung) }) }

// InProcessConn implements nats.InProcessConnProvider.
func (h *hanging) InProcessConn() (net.Conn, error) {
	conn, err := h.InProcessConnProvider.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &hangingConn{Conn: conn, way: h, closed: make(chan struct{})}, nil
}

type hangingConn struct {
	net.Conn
	way    *hanging
	once   sync.Once
	closed chan struct{}
}

// Read returns nothing any more once the broker hangs, until it is closed.
func (c *hangingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.way.hung:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

// Write takes everything, as the kernel does for a process that sleeps.
func (c *hangingConn) Write(p []byte) (int, error) {
	select {
	case <-c.way.hung:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}

func (c *hangingConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Graph gives an endpoint three seconds. A broker that hangs still looks connected, so
// the door waits for it, for answerWithin and no longer. Waiting for the broker alone
// would take the five seconds after which a publish ends by itself.
func TestABrokerThatHangsIsAnswered503InTheTimeThatGraphGives(t *testing.T) {
	t.Parallel()
	const graphGives, publishTakes = 3 * time.Second, 5 * time.Second
	if answerWithin >= graphGives {
		t.Fatalf("the door answers after up to %v; Graph waits %v", answerWithin, graphGives)
	}
	s := newStage(t)
	deps, telemetry := s.deps()
	way := &hanging{InProcessConnProvider: s.broker, hung: make(chan struct{})}
	hung, err := bus.Connect(t.Context(), bus.Options{InProcess: way, Service: string(topology.WebhookReceiver), Instance: "hung", Log: deps.Log})
	must(t, err)
	t.Cleanup(hung.Close)
	deps.Bus = hung
	r := s.replicaWith(deps, telemetry, s.options("vault"))
	server, l := s.serve(r.Receiver.door()), s.subscribe(nil)
	bustest.Eventually(t, 10*time.Second, func() string { return known(r.Receiver, l) })
	if got := l.post(t, server, body(t, nil, l.item(anna, nil, nil))); got.status != http.StatusAccepted {
		t.Fatalf("before: answered %d", got.status)
	}
	way.hang()
	var posts sync.WaitGroup
	for name, key := range map[string]string{"a known key": l.key, "a key that has to be looked up": subscription.NewKey()} {
		server := s.serve(r.Receiver.door())
		posts.Go(func() { answeredInTime(t, server, name, key, body(t, nil, l.item(anna, nil, nil)), publishTakes) })
	}
	posts.Wait()
	if !hung.Connected() {
		t.Error("the hang was noticed as a lost connection: it was not tried")
	}
	if n := r.noted(t, refused); n != 2 {
		t.Errorf("%d counted as refused", n)
	}
}

func answeredInTime(t *testing.T, server *httptest.Server, name, key string, data []byte, most time.Duration) {
	began := time.Now()
	got := send(t, server, http.MethodPost, "/graph/"+key+"/notifications", jsonType, data)
	took := time.Since(began)
	if got.status != http.StatusServiceUnavailable || got.body != "" || took >= most {
		t.Errorf("%s: answered %d %q after %v", name, got.status, got.body, took)
	}
	t.Logf("%s: answered %d after %v", name, got.status, took)
}

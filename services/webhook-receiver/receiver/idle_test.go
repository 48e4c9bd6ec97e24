package receiver

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Without webhook.public_url and webhook.tls nobody calls. What was stored before is
// opened, and there is a certificate for the day on which somebody does.
func TestWithoutAnEndpointItWorksOffTheQueueAndSaysThatNothingListens(t *testing.T) {
	s := newStage(t)
	var said bytes.Buffer
	deps, _ := s.deps()
	deps.Log = slog.New(slog.NewTextHandler(&said, nil))
	o := s.options("vault")
	o.OnListening = func(address string) { t.Errorf("it listens on %s", address) }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, deps, o) }()

	l := s.subscribe(nil)
	subject, _ := wire.Ingress{Tenant: contoso, Resource: "presence"}.Encode()
	_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: l.ingress(t, nil, l.item(anna, nil, nil))})
	must(t, err)
	bustest.Eventually(t, 10*time.Second, func() string {
		switch _, err := s.bucket(topology.Certificates).Get(t.Context(), subscription.CurrentCertificate); {
		case err != nil:
			return err.Error()
		case s.hint("presence", anna) == "":
			return "what is in the queue is not opened"
		}
		return ""
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("asked to stop, it complains: %v", err)
	}
	if !strings.Contains(said.String(), "nothing listens") {
		t.Errorf("it does not say that nothing listens: %s", said.String())
	}
}

package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// Headers that a parked message carries beside its own.
const (
	parkedSubject = "Offhook-Parked-Subject"
	parkedStream  = "Offhook-Parked-Stream"
	parkedService = "Offhook-Parked-Service"
	parkedKind    = "Offhook-Parked-Kind"
	parkedReason  = "Offhook-Parked-Reason"
	parkedAt      = "Offhook-Parked-At"
)

// maxReason bounds the reason in a header: it can quote what a phone system said.
const maxReason = 500

// Park sets a message aside with its reason. The parked message is the original
// one, so that a replay is publishing it again on its first subject.
func (b *Bus) Park(ctx context.Context, stream topology.Stream, m Message, cause error) error {
	h := nats.Header{}
	for k, v := range m.Header {
		if !strings.HasPrefix(k, "Nats-") { // instructions to the broker were carried out once
			h[k] = v
		}
	}
	h.Set(parkedSubject, m.Subject)
	h.Set(parkedStream, string(stream))
	h.Set(parkedService, b.opts.Service)
	h.Set(parkedKind, fault.KindOf(cause).String())
	h.Set(parkedReason, oneLine(cause))
	h.Set(parkedAt, b.Now().UTC().Format(time.RFC3339Nano))
	_, err := b.Publish(ctx, Message{
		Subject: fmt.Sprintf("parked.%s.%s", topology.Token(string(stream)), topology.Token(b.opts.Service)),
		Data:    m.Data, Header: h,
	})
	return err
}

func oneLine(err error) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	return text
}

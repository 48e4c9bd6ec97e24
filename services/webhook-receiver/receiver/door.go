package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/wire"
)

// answerWithin bounds the whole handling of a POST. Graph allows 3 s and counts
// slower answers against the endpoint.
const answerWithin = 2500 * time.Millisecond

// headerRoom is what a message's headers take of the broker's largest payload, in
// bytes; those of a parked one are the longest.
const headerRoom = 8 << 10

// Results of notifications, the label of offhook_notifications_total. Each item of
// a POST counts once; a POST that is not taken apart counts as one.
const (
	stored   = "stored"
	repeated = "repeated" // stored already: the same encrypted post, delivered again

	// Answered 503: Graph comes again.
	refused = "refused" // could not be stored
	flooded = "flooded" // too many at once
	cutOff  = "cut-off" // the body did not arrive in time

	// Answered 202, and forgotten.
	stray      = "stray" // another method, path or content type
	unknownKey = "unknown-key"
	badState   = "bad-client-state"
	foreign    = "foreign-subscription"
	malformed  = "malformed"
	oversized  = "oversized"
)

// Results of handshakes, the label of offhook_handshakes_total.
const (
	echoed     = "echoed"
	unexpected = "unexpected" // unknown key, or nothing in flight: 202
	hostile    = "hostile"    // not what Graph would send: 202
)

// door returns the endpoint's handler. It is no ServeMux: that one answers what it
// does not know with words and redirects.
func (r *Receiver) door() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		h.Set("Cache-Control", "no-store")
		ctx, cancel := context.WithTimeoutCause(req.Context(), answerWithin, errors.New("the time that Graph grants is over"))
		defer cancel()
		key, lifecycle, ok := target(req)
		if !ok {
			r.accepted(ctx, w, stray, 1)
			return
		}
		if tokens := req.URL.Query()["validationToken"]; len(tokens) > 0 {
			r.handshake(ctx, w, key, tokens)
			return
		}
		r.notified(ctx, w, req, key, lifecycle)
	})
}

// target takes /graph/KEY/notifications and /graph/KEY/lifecycle apart.
func target(req *http.Request) (key string, lifecycle, ok bool) {
	rest, ours := strings.CutPrefix(req.URL.Path, "/graph/")
	key, kind, _ := strings.Cut(rest, "/")
	return key, kind == "lifecycle", ours && req.Method == http.MethodPost && (kind == "notifications" || kind == "lifecycle")
}

// notified takes one POST of notifications.
func (r *Receiver) notified(ctx context.Context, w http.ResponseWriter, req *http.Request, key string, lifecycle bool) {
	record, ok, err := r.records.find(ctx, key)
	switch {
	case err != nil:
		r.refuse(ctx, w, refused, 1, err)
		return
	case !ok:
		r.accepted(ctx, w, unknownKey, 1)
		return
	case !r.flood.allow(key):
		// Graph itself can be this fast after an outage: it is asked to come back.
		r.refuse(ctx, w, flooded, 1, nil)
		return
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/json" {
		r.accepted(ctx, w, stray, 1)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, notification.MaxBody))
	if big := new(http.MaxBytesError); errors.As(err, &big) {
		r.accepted(ctx, w, oversized, 1)
		return
	} else if err != nil {
		r.refuse(ctx, w, cutOff, 1, nil)
		return
	}
	batch, err := notification.Decode(body)
	if err != nil {
		r.accepted(ctx, w, malformed, 1)
		return
	}
	r.metrics.count(ctx, malformed, len(batch.Bad))
	r.store(ctx, w, key, record, batch, lifecycle, body)
}

// store keeps the items that know their subscription's secret and answers.
func (r *Receiver) store(ctx context.Context, w http.ResponseWriter, key string, record subscription.Record, batch notification.Batch, lifecycle bool, body []byte) {
	in := wire.Ingress{Tenant: record.Tenant, Resource: record.Resource, Subscription: subscription.KeyOf(key), Tokens: batch.Tokens, Lifecycle: lifecycle}
	encrypted := true
	for _, item := range batch.Items {
		switch {
		case !item.Authentic(record.State):
			r.metrics.count(ctx, badState, 1)
		case record.ID != "" && item.Subscription != record.ID || (item.Lifecycle != "") != lifecycle:
			r.metrics.count(ctx, foreign, 1)
		default:
			encrypted = encrypted && item.Content != nil
			in.Items = append(in.Items, item.Raw)
		}
	}
	if len(in.Items) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	subject, data := in.Encode()
	m := bus.Message{Subject: subject, Data: data}
	if encrypted {
		// Every encryption has its own key: the same bytes are the same post, delivered
		// twice. Basic items carry nothing that tells two changes apart.
		m.ID = secret.Hash(string(body))
	}
	if int64(len(data)) > r.bus.Conn().MaxPayload()-headerRoom {
		r.accepted(ctx, w, oversized, len(in.Items))
		return
	}
	if !r.bus.Conn().IsConnected() { // waiting for the broker would be a hang
		r.refuse(ctx, w, refused, len(in.Items), fault.Errorf(fault.Unavailable, "store notification", "no connection to the broker"))
		return
	}
	switch _, again, err := r.bus.PublishOnce(ctx, m); {
	case err != nil:
		r.refuse(ctx, w, refused, len(in.Items), err)
	case again:
		r.accepted(ctx, w, repeated, len(in.Items))
	default:
		r.accepted(ctx, w, stored, len(in.Items))
	}
}

// accepted answers 202 with an empty body, whatever happened.
func (r *Receiver) accepted(ctx context.Context, w http.ResponseWriter, result string, items int) {
	r.metrics.count(ctx, result, items)
	w.WriteHeader(http.StatusAccepted)
}

// refuse answers 503 with an empty body: what came is not stored, and Graph repeats
// it for hours.
func (r *Receiver) refuse(ctx context.Context, w http.ResponseWriter, result string, items int, err error) {
	r.metrics.count(ctx, result, items)
	if err != nil {
		r.complaint.Do(func() { r.log.Warn("notifications are not stored", "kind", fault.KindOf(err), "error", err) })
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// handshake echoes a validation token while a create or renewal for the key is in
// flight or ended less than ten minutes ago, and answers 202 otherwise.
func (r *Receiver) handshake(ctx context.Context, w http.ResponseWriter, key string, tokens []string) {
	record, known, err := r.records.find(ctx, key)
	result := echoed
	switch {
	case err != nil:
		r.refuse(ctx, w, refused, 1, err)
		return
	case !known || r.bus.Now().After(record.Handshake):
		result = unexpected
	case len(tokens) != 1 || notification.CheckHandshake(tokens[0]) != nil:
		result = hostile
	}
	r.metrics.greeted(ctx, result)
	if result != echoed {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, tokens[0])
}

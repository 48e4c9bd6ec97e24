package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

const (
	// batchSize is how many requests a $batch may carry.
	// https://learn.microsoft.com/graph/json-batching
	batchSize = 20
	// batchParallel is how many batches of one call are under way at a time.
	batchParallel = 10
	// batchPath is where batches go, below the version.
	batchPath = "/$batch"
)

// batchItem is one GET about a mailbox that travels in a batch.
type batchItem struct {
	index  int // which request of the verb this is
	user   identity.User
	url    string // below the version
	prefer string
	tries  int       // so far
	after  time.Time // not before
	alone  bool      // its batches failed as a whole: it travels by itself
}

// batchRun reads many mailboxes in batches. One goroutine, the caller's, holds all
// of its state; the others send one batch each.
type batchRun struct {
	client *Client
	op     string
	// settle is told how a request ended, exactly once for each, unless it returns a
	// further link to read for the same one. false ends the run.
	settle  func(index int, body json.RawMessage, err error) (next string, goOn bool)
	waiting []*batchItem
	under   int // batches under way
	ends    chan batchEnd
}

// batchEnd is what became of a batch.
type batchEnd struct {
	items   []*batchItem
	answers []*batchAnswer // one for each item, nil where Graph gave none
	err     error          // instead of answers
	// together says that Graph failed the batch as a whole because of some requests
	// in it (424), without saying which.
	together bool
}

// batchAnswer is the answer to one request of a batch.
type batchAnswer struct {
	ID      string          `json:"id"`
	Status  int             `json:"status"`
	Headers map[string]any  `json:"headers"`
	Body    json.RawMessage `json:"body"`
}

// batch runs the items to their ends. settle is called by this goroutine alone.
func (c *Client) batch(ctx context.Context, op string, items []*batchItem, settle func(int, json.RawMessage, error) (string, bool)) {
	ctx, cancel := context.WithCancel(ctx)
	r := &batchRun{client: c, op: op, settle: settle, waiting: items, ends: make(chan batchEnd, batchParallel)}
	defer func() {
		cancel()
		for ; r.under > 0; r.under-- {
			<-r.ends
		}
	}()
	for len(r.waiting)+r.under > 0 {
		changed := c.mailboxes.changed() // asked for before looking, so that no end is missed
		wait, goOn := r.launch(ctx)
		if !goOn || len(r.waiting)+r.under == 0 || !r.await(ctx, changed, wait) {
			return // at the latest when all that was left could not be sent
		}
	}
}

// launch sends all batches that may leave now and returns when the next request
// may, 0 if that is not known.
func (r *batchRun) launch(ctx context.Context) (wait time.Duration, goOn bool) {
	for r.under < batchParallel && ctx.Err() == nil {
		var ready []*batchItem
		if ready, wait, goOn = r.pick(ctx); !goOn || len(ready) == 0 {
			return wait, goOn
		}
		r.under++
		go func() { r.ends <- r.client.postBatch(ctx, r.op, ready) }()
	}
	return 0, true
}

// pick takes up to a batch of requests that may leave now off the list.
func (r *batchRun) pick(ctx context.Context) (ready []*batchItem, wait time.Duration, goOn bool) {
	now, kept := time.Now(), r.waiting[:0:0]
	for i, item := range r.waiting {
		if len(ready) == batchSize || len(ready) > 0 && ready[0].alone {
			kept = append(kept, r.waiting[i:]...)
			break
		}
		if item.after.After(now) || len(ready) > 0 && item.alone {
			kept, wait = append(kept, item), sooner(wait, item.after.Sub(now))
			continue
		}
		closed, admitted := r.client.mailboxes.enter(item.user)
		switch {
		case admitted:
			ready = append(ready, item)
		case closed > MaxWait || !fits(ctx, closed):
			err := fault.After(fault.Throttled, r.op, closed, errors.New("the mailbox asked for a pause that is not over"))
			if _, goOn := r.settle(item.index, nil, err); !goOn {
				r.release(ready)
				return nil, 0, false
			}
		default:
			kept, wait = append(kept, item), sooner(wait, closed)
		}
	}
	r.waiting = kept
	return ready, wait, true
}

// release gives back what was admitted and will not be sent.
func (r *batchRun) release(items []*batchItem) {
	for _, item := range items {
		r.client.mailboxes.leave(item.user)
	}
}

// sooner returns the shorter of two waits, of which 0 and less are none.
func sooner(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

// await waits until something has ended or may leave.
func (r *batchRun) await(ctx context.Context, changed <-chan struct{}, wait time.Duration) bool {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	over := ctx.Done()
	if len(r.waiting) == 0 {
		over, changed = nil, nil // what is under way ends by itself
	}
	select {
	case end := <-r.ends:
		r.under--
		return r.receive(ctx, end)
	case <-over:
		rest := r.waiting
		r.waiting = nil
		return r.fail(rest, classify(r.op, ctx.Err()))
	case <-changed:
	case <-due:
	}
	return true
}

// fail settles items with one error.
func (r *batchRun) fail(items []*batchItem, err error) bool {
	for _, item := range items {
		if _, goOn := r.settle(item.index, nil, err); !goOn {
			return false
		}
	}
	return true
}

// receive settles what a batch answered, or puts it back on the list.
func (r *batchRun) receive(ctx context.Context, end batchEnd) bool {
	if end.err != nil && !end.together {
		return r.fail(end.items, end.err)
	}
	for i, item := range end.items {
		var goOn bool
		switch {
		case end.together && !item.alone:
			item.alone = true
			r.waiting, goOn = append(r.waiting, item), true
		case end.together:
			goOn = r.later(ctx, item, end.err)
		default:
			goOn = r.receiveOne(ctx, item, end.answers[i])
		}
		if !goOn {
			return false
		}
	}
	return true
}

func (r *batchRun) receiveOne(ctx context.Context, item *batchItem, answer *batchAnswer) bool {
	if answer == nil {
		return r.fail([]*batchItem{item}, fault.New(fault.Unknown, r.op, errors.New("graph left a request of a batch unanswered")))
	}
	r.client.told(ctx, answer.Status)
	if answer.Status >= 200 && answer.Status < 300 {
		next, goOn := r.settle(item.index, answer.Body, nil)
		if next != "" {
			item.url, item.tries = next, 0
			r.waiting = append(r.waiting, item)
		}
		return goOn
	}
	err := answer.fault(r.op)
	switch answer.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway,
		http.StatusGatewayTimeout, http.StatusFailedDependency:
		return r.later(ctx, item, err)
	}
	return r.fail([]*batchItem{item}, err)
}

// later puts an item that met a passing error back on the list, unless it would
// have to wait too long or was tried often enough. What it was asked to wait
// counts for all requests to its mailbox.
func (r *batchRun) later(ctx context.Context, item *batchItem, err error) bool {
	item.tries++
	delay := fault.RetryAfter(err)
	if delay > 0 {
		r.client.mailboxes.closeFor(item.user, delay)
	} else {
		delay = backoff(item.tries)
	}
	if item.tries >= maxTries || delay > MaxWait || !fits(ctx, delay) {
		return r.fail([]*batchItem{item}, err)
	}
	item.after = time.Now().Add(delay)
	r.waiting = append(r.waiting, item)
	return true
}

// fault classifies an error answer. It names the code alone: a message of Outlook
// may quote what a person wrote.
func (a *batchAnswer) fault(op string) error {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	// Without a code the status decides.
	_ = json.Unmarshal(a.Body, &body)
	kind := kindOf(a.Status, body.Error.Code, "")
	cause := fmt.Errorf("graph answered %d %s", a.Status, body.Error.Code)
	for name, value := range a.Headers {
		if http.CanonicalHeaderKey(name) != "Retry-After" {
			continue
		}
		if delay, ok := retryAfter(fmt.Sprint(value), time.Now()); ok {
			return fault.After(kind, op, delay, cause)
		}
	}
	return fault.New(kind, op, cause)
}

// postBatch sends one batch and gives its mailboxes free.
func (c *Client) postBatch(ctx context.Context, op string, items []*batchItem) batchEnd {
	defer func() {
		for _, item := range items {
			c.mailboxes.leave(item.user)
		}
	}()
	end := batchEnd{items: items}
	request := kiota.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(kiota.POST, "{+baseurl}"+batchPath, map[string]string{})
	request.Headers.TryAdd("Accept", "application/json")
	body, err := batchBody(items)
	if err != nil {
		end.err = fault.New(fault.Invalid, op, err)
		return end
	}
	request.SetStreamContentAndContentType(body, "application/json")
	answer, err := c.adapter.SendPrimitive(ctx, request, "[]byte", kiota.ErrorMappings{"XXX": odataerrors.CreateODataErrorFromDiscriminatorValue})
	if err != nil {
		var refused *odataerrors.ODataError
		end.err = classify(op, err)
		end.together = errors.As(err, &refused) && refused.GetStatusCode() == http.StatusFailedDependency
		return end
	}
	text, _ := answer.([]byte) // nil where there was no body
	if end.answers, err = batchAnswers(text, len(items)); err != nil {
		end.err = fault.New(fault.Unknown, op, err)
	}
	return end
}

// batchBody is the body of a batch; each request's id is its place.
func batchBody(items []*batchItem) ([]byte, error) {
	type request struct {
		ID      string            `json:"id"`
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
	}
	requests := make([]request, len(items))
	for i, item := range items {
		requests[i] = request{strconv.Itoa(i), http.MethodGet, item.url, map[string]string{"Accept": "application/json"}}
		if item.prefer != "" {
			requests[i].Headers["Prefer"] = item.prefer
		}
	}
	return json.Marshal(map[string]any{"requests": requests})
}

// batchAnswers sorts the answers by place. One that cannot be read, that comes
// twice or that nobody asked for costs nothing else.
func batchAnswers(body []byte, n int) ([]*batchAnswer, error) {
	var all struct {
		Responses []json.RawMessage `json:"responses"`
	}
	// The cause would quote what a person wrote.
	if json.Unmarshal(body, &all) != nil || all.Responses == nil {
		return nil, errors.New("the answer to a batch cannot be read")
	}
	answers := make([]*batchAnswer, n)
	for _, raw := range all.Responses {
		var one batchAnswer
		if json.Unmarshal(raw, &one) != nil {
			continue
		}
		if i, err := strconv.Atoi(one.ID); err == nil && i >= 0 && i < n && answers[i] == nil {
			answers[i] = &one
		}
	}
	return answers, nil
}

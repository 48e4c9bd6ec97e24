package sippresence

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
)

// conditionFailed is 412: the server does not know the entity tag (RFC 3903
// section 11.2.1). sipgo has no name for it.
const conditionFailed = 412

// newRequest makes a request about an address, with ids of its own.
func newRequest(method sip.RequestMethod, event Event, to, from sip.Uri) *sip.Request {
	req := sip.NewRequest(method, to)
	sender := &sip.FromHeader{Address: from, Params: sip.NewParams()}
	sender.Params.Add("tag", rand.Text())
	req.AppendHeader(sender)
	req.AppendHeader(&sip.ToHeader{Address: to})
	id := sip.CallIDHeader(rand.Text())
	req.AppendHeader(&id)
	req.AppendHeader(sip.NewHeader("Event", string(event)))
	return req
}

// publication builds a PUBLISH (RFC 3903 section 4.1, table 1):
//
//	            body  etag  expires
//	initial     yes   no    > 0
//	refresh     no    yes   > 0
//	modify      yes   yes   > 0
//	remove      no    yes   0
func publication(event Event, address sip.Uri, etag string, body []byte, expires time.Duration) *sip.Request {
	req := newRequest(sip.PUBLISH, event, address, address)
	req.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(expires/time.Second))))
	if etag != "" {
		req.AppendHeader(sip.NewHeader("SIP-If-Match", etag))
	}
	if body != nil {
		req.AppendHeader(sip.NewHeader("Content-Type", event.contentType()))
		req.SetBody(body)
	}
	return req
}

// publish makes the server show s for an extension, of which held is what is known:
// a modification if there is a living entity tag, else an initial publication. It
// returns what is known afterwards, also with an error. The caller has the turn, as
// for refresh.
func (d *driver) publish(ctx context.Context, op string, held Publication, s presence.Status) (Publication, error) {
	address, err := d.line.config.address(held.Extension)
	if err != nil {
		return held, fault.New(fault.Invalid, op, err)
	}
	body := d.line.config.compose(held.Event, address.String(), s)
	next, res, err := d.exchange(ctx, op, held, address, body, d.lifetime(held.Event, s))
	if err == nil && res.IsSuccess() {
		next.Status, next.hearsay = s, false
		return next, nil
	}
	if err == nil {
		err = refused(op, held.Event, res)
	}
	if doubtful(err) {
		next.Status = presence.Unset
	}
	return next, err
}

// refresh prolongs what is published. If the server has forgotten it, it is
// published anew, unless it is unknown what that was, or known only from what an
// earlier process kept: that may be older than the last thing it published. So may be what
// has expired meanwhile: who comes so late has slept, or the server was away, and a status
// of before is its user's to write again.
func (d *driver) refresh(ctx context.Context, op string, held Publication) (Publication, error) {
	if held.over(time.Now()) {
		return unpublished(held.Extension, held.Event), nil
	}
	if held.ETag != "" {
		address, err := d.line.config.address(held.Extension)
		if err != nil {
			return held, fault.New(fault.Invalid, op, err)
		}
		var whole []byte
		if d.line.config.RefreshWhole && held.Status != presence.Unset && !held.hearsay {
			whole = d.line.config.compose(held.Event, address.String(), held.Status)
		}
		next, res, err := d.exchange(ctx, op, held, address, whole, d.lifetime(held.Event, held.Status))
		switch {
		case err != nil:
			return held, err
		case res.IsSuccess():
			next.hearsay = false // the tag was the newest, and the keeper has seen that the server shows what was kept with it
			return next, nil
		case res.StatusCode != conditionFailed:
			return held, refused(op, held.Event, res)
		}
		held.ETag = ""
	}
	if held.Status == presence.Unset || held.hearsay {
		return unpublished(held.Extension, held.Event), nil
	}
	status := held.Status
	next, err := d.publish(ctx, op, held, status)
	if err != nil {
		next.Status = status // nothing else was asked for, so there is no doubt about it
	}
	return next, err
}

// lifetime is how long a publication is asked to live. A lamp that nobody can turn off
// any more, because Offhook is gone or its tag was lost, shall not be red for long; one
// that is turned off need only be so until the phones have heard of it.
func (d *driver) lifetime(e Event, s presence.Status) time.Duration {
	switch {
	case e != Dialog:
		return d.line.config.Expires
	case d.line.config.Lamps.Has(s):
		return d.table.litFor
	}
	return min(d.line.config.Expires, darkLifetime)
}

// exchange sends one PUBLISH and what RFC 3903 section 4.1 says about its answer:
// after 412 a publication with a body is sent without its tag, after 423 with the
// interval that the server wants. next is held with what was learned.
func (d *driver) exchange(ctx context.Context, op string, held Publication, address sip.Uri, body []byte, life time.Duration) (next Publication, res *sip.Response, err error) {
	next = held
	if !next.living(time.Now()) {
		next.ETag = ""
	}
	for prolonged := false; ; {
		expires := max(life, time.Duration(d.shortest.Load()))
		sent := time.Now()
		res, err = d.line.do(ctx, op, publication(held.Event, address, next.ETag, body, expires))
		if err != nil {
			return next, nil, err
		}
		shortest := seconds(res, "Min-Expires")
		switch {
		case res.StatusCode == conditionFailed && next.ETag != "" && body != nil:
			next.ETag = ""
		case res.StatusCode == sip.StatusIntervalToBrief && !prolonged && shortest > expires:
			d.shortest.Store(int64(shortest))
			prolonged = true
		case res.IsSuccess():
			next.ETag, next.Expires = granted(res, sent, expires)
			return next, res, nil
		default:
			return next, res, nil
		}
	}
}

// granted reads what a 200 says. Both headers are mandatory (RFC 3903 section
// 11.3.1 and 6); a server that omits the tag, or whose tag is no token and could not be
// sent back as it is (section 11.3.1), is published to anew each time.
func granted(res *sip.Response, sent time.Time, asked time.Duration) (etag string, expires time.Time) {
	if header := res.GetHeader("SIP-ETag"); header != nil && token(header.Value()) {
		etag = header.Value()
	}
	if given := seconds(res, "Expires"); given > 0 {
		asked = given
	}
	return etag, sent.Add(asked)
}

// token says whether text is a token (RFC 3261 section 25.1) of a length that fits into
// a request.
func token(text string) bool {
	return text != "" && len(text) <= 256 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-.!%*_+`'~", r)
	})
}

// remove takes a publication back.
func (d *driver) remove(ctx context.Context, op string, held Publication) error {
	address, err := d.line.config.address(held.Extension)
	if err != nil {
		return fault.New(fault.Invalid, op, err)
	}
	res, err := d.line.do(ctx, op, publication(held.Event, address, held.ETag, nil, 0))
	if err == nil && !res.IsSuccess() {
		err = refused(op, held.Event, res)
	}
	return err
}

// doubtful says whether nobody knows what became of a write.
func doubtful(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Timeout || kind == fault.Cancelled
}

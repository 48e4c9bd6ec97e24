package pbx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrLate is what a request fails with that would have left after its deadline: it
// has no effect. It is a context.DeadlineExceeded.
var ErrLate = fmt.Errorf("the deadline passed before the request was sent: %w", context.DeadlineExceeded)

// Punctual makes next carry out nothing after the deadline of the request's context,
// whether or not the context has noticed yet. A process that was stopped and
// continued runs on before its timers fire; by then its lease may belong to
// somebody else. The clock is read before next is called, and again when next takes
// the body, which is after it has found a connection: what leaves then is at most the
// head of a request that is cut short, and which no server can act upon. A request
// without a body changes nothing and is looked at once. The error is ErrLate.
func Punctual(next http.RoundTripper) http.RoundTripper { return punctual{next} }

type punctual struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p punctual) RoundTrip(r *http.Request) (*http.Response, error) {
	deadline, bounded := r.Context().Deadline()
	if !bounded {
		return p.next.RoundTrip(r)
	}
	if late(deadline) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, ErrLate
	}
	if r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(r.Context()) // a copy: a RoundTripper leaves its request as it is
		r.Body = timely{r.Body, deadline}
		if again := r.GetBody; again != nil {
			r.GetBody = func() (io.ReadCloser, error) { return repeated(again, deadline) }
		}
	}
	return p.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (p punctual) CloseIdleConnections() {
	if c, ok := p.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// repeated is the body of a request that is sent again over a new connection.
func repeated(again func() (io.ReadCloser, error), deadline time.Time) (io.ReadCloser, error) {
	if late(deadline) {
		return nil, ErrLate
	}
	body, err := again()
	if err != nil {
		return nil, err
	}
	return timely{body, deadline}, nil
}

// timely is a body that ends with ErrLate once the deadline has passed.
type timely struct {
	io.ReadCloser
	deadline time.Time
}

func (t timely) Read(p []byte) (int, error) {
	if late(t.deadline) {
		return 0, ErrLate
	}
	return t.ReadCloser.Read(p)
}

func late(deadline time.Time) bool { return !time.Now().Before(deadline) }

package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// poster posts notifications as Graph does: JSON over HTTP/1.1 with TLS, on
// connections that stay.
type poster struct{ client *http.Client }

func newPoster(roots *x509.CertPool, connections int) *poster {
	return &poster{&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, IdleConnTimeout: time.Minute,
	}}}
}

func (p *poster) close() { p.client.CloseIdleConnections() }

// post sends one body and returns the status.
func (p *poster) post(ctx context.Context, url string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// answers counts POSTs by what was answered.
type answers struct{ accepted, refused, other atomic.Int64 }

func (a *answers) count(status int, err error) {
	switch {
	case err == nil && status == http.StatusAccepted:
		a.accepted.Add(1)
	case err == nil && status == http.StatusServiceUnavailable:
		a.refused.Add(1)
	default:
		a.other.Add(1)
	}
}

func (a *answers) sent() int { return int(a.accepted.Load() + a.refused.Load() + a.other.Load()) }

// String lists the counts.
func (a *answers) String() string {
	return fmt.Sprintf("202 %d, 503 %d, other %d", a.accepted.Load(), a.refused.Load(), a.other.Load())
}

// saturate has workers post one after the other for a while and returns how long
// each POST took and what was answered.
func saturate(ctx context.Context, workers int, d time.Duration, post func(ctx context.Context, n uint64) (int, error)) (sample, *answers, time.Duration) {
	var next atomic.Uint64
	var got answers
	var mu sync.Mutex // guards all
	var all sample
	began := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var mine sample
			for time.Since(began) < d && ctx.Err() == nil {
				at := time.Now()
				got.count(post(ctx, next.Add(1)))
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	wg.Wait()
	return all.sorted(), &got, time.Since(began)
}

// pace calls do for each of n moments that are 1/rate apart, each in a goroutine of
// its own, and waits for all. A moment is never skipped: what is late is caught up
// with. It returns by how much the latest call was behind its moment.
func pace(ctx context.Context, n, rate int, do func(i int)) (late time.Duration) {
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				wg.Wait()
				return late
			case <-time.After(wait):
			}
		}
		late = max(late, time.Since(due))
		wg.Go(func() { do(i) })
	}
	wg.Wait()
	return late
}

// variant makes a post differ from the others without changing what it says: JSON
// allows white space after the value. The receiver takes the same bytes of
// encrypted items for the same delivery and stores them once.
func variant(body []byte, n uint64) []byte {
	varied := make([]byte, len(body), len(body)+64)
	copy(varied, body)
	for ; n > 0; n >>= 1 {
		varied = append(varied, " \t"[n&1])
	}
	return varied
}

// settle asks until ok says "" or the patience is over, and returns what it last
// said. It rests for twenty times as long as an answer took: whoever looks at 100,000
// extensions locks them, and was what was measured.
func settle(ctx context.Context, patience time.Duration, ok func() (string, error)) (string, error) {
	deadline := time.Now().Add(patience)
	for {
		asked := time.Now()
		why, err := ok()
		if err != nil || why == "" || time.Now().After(deadline) {
			return why, err
		}
		select {
		case <-ctx.Done():
			return why, context.Cause(ctx)
		case <-time.After(max(5*time.Millisecond, 20*time.Since(asked))):
		}
	}
}

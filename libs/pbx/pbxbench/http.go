package pbxbench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// connections is how many the HTTP drivers keep open at the most, and the floor as well.
const connections = 8

// JSON is a request with a value and a bearer token, as drivers make them.
func JSON(ctx context.Context, method, url, bearer string, value any) (*http.Request, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// Requests is the floor of an HTTP driver: a bare client that sends the request that build
// makes for write number i and wants the answer success.
func Requests(b *testing.B, roots *x509.CertPool, inFlight, success int, build func(i int) (*http.Request, error)) func(n int) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
	}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	next := 0
	return func(n int) {
		first := next
		next += n
		InTurns(n, inFlight, func(i int) bool {
			request, err := build(first + i)
			if err != nil {
				b.Error(err)
				return false
			}
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return false
			}
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != success {
				b.Errorf("HTTP %d, %v", response.StatusCode, err)
				return false
			}
			return true
		})
	}
}

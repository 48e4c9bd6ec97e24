package pbxbench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// connections is how many the HTTP drivers keep open at the most, and the floor as well.
const connections = 8

// JSON is a request with a value, nil for none, and a bearer token, as drivers make them.
func JSON(ctx context.Context, method, url, bearer string, value any) (*http.Request, error) {
	var body []byte
	if value != nil {
		var err error
		if body, err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// Requests is the floor of an HTTP driver: a bare client that sends the requests that builds
// make for write number i, one after another, and wants the answer success to each.
func Requests(b *testing.B, roots *x509.CertPool, inFlight, success int, builds ...func(i int) (*http.Request, error)) func(n int) {
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
			for _, build := range builds {
				if err := exchange(client, first+i, success, build); err != nil {
					b.Error(err)
					return false
				}
			}
			return true
		})
	}
}

// exchange sends one request and reads the answer.
func exchange(client *http.Client, i, success int, build func(i int) (*http.Request, error)) error {
	request, err := build(i)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err = io.Copy(io.Discard, response.Body); err == nil && response.StatusCode != success {
		err = fmt.Errorf("HTTP %d", response.StatusCode)
	}
	return err
}

package pbxbench

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
)

// connections is how many the HTTP drivers keep open at the most, and the floor as well.
const connections = 8

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

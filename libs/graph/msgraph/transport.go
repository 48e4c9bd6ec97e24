package msgraph

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

const (
	tryTimeout   = 30 * time.Second // one request with its answer
	tokenTimeout = 20 * time.Second // one request to the login host
	dialTimeout  = 5 * time.Second  // one connection, and again its TLS handshake
	maxConns     = 16               // to one host; HTTP/2 needs one
)

// newTransport makes the connections to both hosts.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		// One HTTP/2 connection carries everything: without pings, one that died
		// silently would fail every request until the kernel notices.
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: dialTimeout},
		MaxConnsPerHost:     maxConns,
		MaxIdleConnsPerHost: maxConns,
		IdleConnTimeout:     90 * time.Second,
	}
}

// refuseRedirect keeps what is sent to a host with that host.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

package api

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"offhook.dev/libs/core/fault"
)

// listen listens on a loopback address and nowhere else.
func listen(address, setting string) (net.Listener, error) {
	refused := func(what string) error {
		return problem(fault.Invalid, CodeHost, what, setting+": "+address,
			"listen on 127.0.0.1, [::1] or localhost: there is no sign-in yet, so whoever reaches the port may read everything")
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, refused(fmt.Sprintf("%q is not host:port", address))
	}
	if !isLoopback(host) {
		return nil, refused(fmt.Sprintf("%q is not a loopback host", host))
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("control-api: %w", err)
	}
	// "localhost" is whatever the resolver says: look at what it became.
	if tcp, ok := listener.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		_ = listener.Close()
		return nil, refused(fmt.Sprintf("%q resolves to %s, which is not loopback", host, listener.Addr()))
	}
	return listener, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// guard refuses requests that a foreign web page made the browser send. A page can
// give its own name the address 127.0.0.1 (DNS rebinding) and would then be of the
// same origin; its name still stands in Host.
func guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(fault.Denied, CodeOrigin, "a page of another origin may not do this", r.Method+" "+r.URL.Path,
			"use the console that this service serves, the offhook command, or a program that is no browser"))
	}))
	next = origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]") // without a port
		}
		if !isLoopback(host) {
			writeProblem(w, problem(fault.Denied, CodeHost, fmt.Sprintf("requests for host %q are not answered", host), "header Host",
				"use http://127.0.0.1 or http://localhost with the port of control.listen"))
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

package api_test

import (
	"errors"
	"net/http"
	"testing"

	"offhook.dev/libs/run"
	"offhook.dev/services/control-api/api"
)

func TestRequestsThatAForeignPageCouldSendAreRefused(t *testing.T) {
	s := scene(t)
	cases := []struct {
		name, method, path string
		host               string
		headers            map[string]string
		status             int
	}{
		{"plain", "GET", "/api/v1/status", "", nil, 200},
		{"by the name localhost", "GET", "/api/v1/status", "localhost:1234", nil, 200},
		{"by IPv6 loopback without a port", "GET", "/api/v1/status", "[::1]", nil, 200},
		{"by a name that was rebound to loopback", "GET", "/api/v1/status", "evil.example:8080", nil, 403},
		{"by a name that begins like loopback", "GET", "/livez", "127.0.0.1.evil.example", nil, 403},
		{"by another address", "GET", "/api/v1/status", "192.0.2.1", nil, 403},
		{"a foreign page's form", "POST", "/api/v1/status", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"an old browser's foreign form", "POST", "/api/v1/status", "", map[string]string{"Origin": "http://evil.example"}, 403},
		{"a program's POST", "POST", "/api/v1/status", "", nil, 405},
		{"no such path", "GET", "/api/v2/status", "", nil, 404},
		{"no such path below a route", "GET", "/api/v1/status/x", "", nil, 404},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			for name, value := range c.headers {
				r.Header.Set(name, value)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != c.status || answer.Header.Get("Access-Control-Allow-Origin") != "" || answer.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s %v, want %d in JSON without CORS", answer.Status, answer.Header, c.status)
			}
		})
	}
}

func TestItListensOnLoopbackOnly(t *testing.T) {
	for _, c := range []struct{ http, grpc string }{
		{"0.0.0.0:0", "127.0.0.1:0"}, {":0", "127.0.0.1:0"}, {"127.0.0.1:0", "[::]:0"}, {"192.0.2.1:0", "127.0.0.1:0"},
		{"offhook.example:0", "127.0.0.1:0"}, {"127.0.0.1", "127.0.0.1:0"}, {"", "127.0.0.1:0"},
	} {
		err := api.Run(t.Context(), run.Deps{}, api.Options{Listen: c.http, GRPCListen: c.grpc})
		p, ok := errors.AsType[*api.Problem](err)
		if !ok || p.Code != api.CodeHost || p.Fix == "" {
			t.Errorf("%+v: %v, want a refusal that says what to do", c, err)
		}
	}
}

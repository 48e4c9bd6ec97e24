package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// systemDescription is a phone system in GET /sim/v1/systems.
type systemDescription struct {
	ID     string `json:"id"` // in the paths
	Driver string `json:"driver"`
	URL    string `json:"url"`
}

// controlHandler serves the interfaces of both simulators, the list of phone
// systems, /livez and /readyz.
func (s *Simulator) controlHandler(hosts []string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/sim/v1/", s.Graph.Control())
	mux.Handle("/sim/v1/systems/", s.PBX.Control())
	mux.HandleFunc("GET /sim/v1/systems", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, []systemDescription{{string(s.System), "3cx", s.PBX.URL()}})
	})
	for _, path := range []string{"GET /livez", "GET /readyz"} { // it listens when everything is ready
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]bool{"ok": true}) })
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostOf(r.Host); !isLoopback(host) && !slices.Contains(hosts, host) {
			answer(w, http.StatusForbidden, map[string]string{"error": fmt.Sprintf("requests for host %q are not answered; use 127.0.0.1 or a name that the simulator was started with", host)})
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

func (s *Simulator) serveControl(o Options) error {
	listener, err := net.Listen("tcp", o.ControlListen)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	s.Control = "http://" + listener.Addr().String()
	s.control = &http.Server{Handler: s.controlHandler(o.Hosts), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { s.served <- s.control.Serve(listener) }()
	return nil
}

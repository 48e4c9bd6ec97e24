package run

import (
	"encoding/json"
	"net/http"
	"sync"
)

// Health collects what keeps a process from being ready.
type Health struct {
	mu      sync.Mutex // guards what follows
	failing map[string]string
	asked   map[string]func() error
}

// NewHealth starts out ready; services report parts that are not.
func NewHealth() *Health {
	return &Health{failing: map[string]string{}, asked: map[string]func() error{}}
}

// Set notes a part as failing with err, or as well with nil. Parts are named
// "service: part". The text of err is public: it must not hold a secret.
func (h *Health) Set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failing, part)
		return
	}
	h.failing[part] = err.Error()
}

// Ask adds a part that is asked whenever somebody wants to know.
func (h *Health) Ask(part string, well func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[part] = well
}

// Failing returns the parts that are not well.
func (h *Health) Failing() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	copied := make(map[string]string, len(h.failing))
	for part, why := range h.failing {
		copied[part] = why
	}
	for part, well := range h.asked {
		if err := well(); err != nil {
			copied[part] = err.Error()
		}
	}
	return copied
}

// Register adds /livez and /readyz.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Failing()) })
}

func answer(w http.ResponseWriter, failing map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	if len(failing) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": len(failing) == 0, "failing": failing}) // the client may be gone
}

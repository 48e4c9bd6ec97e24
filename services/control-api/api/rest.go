package api

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/run"
)

// openapi describes what rest serves; a test compares the two.
//
//go:embed openapi.json
var openapi []byte

// answerTimeout bounds writing one answer that is not a stream.
const answerTimeout = 30 * time.Second

// rest serves the API over HTTP.
type rest struct {
	model   *model
	explain explainer
	options keeper
	orders  orders
	plans   shelf
	hub     *hub
	ready   <-chan struct{} // closed when the read model is filled
	ping    time.Duration
}

// route is one path of the API with what can be done there.
type route struct {
	path    string
	methods []method
}

// method is one thing that can be done, with the query parameters it takes.
type method struct {
	name       string // GET also means HEAD
	parameters []string
	serve      func(http.ResponseWriter, *http.Request) error
}

func (a *rest) routes() []route {
	return append([]route{
		{"/api/v1/status", []method{{"GET", []string{"user", "tenant", "stale"}, a.serveStatus}}},
		{"/api/v1/explain", []method{{"GET", []string{"user", "tenant", "at"}, a.serveExplain}}},
		{"/api/v1/watch", []method{{"GET", []string{"user", "tenant"}, a.serveWatch}}},
	}, slices.Concat(a.optionRoutes(), a.laneRoutes(), a.planRoutes())...)
}

// handler is the whole HTTP surface.
func (a *rest) handler(health *run.Health) http.Handler {
	mux := http.NewServeMux()
	health.Register(mux)
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openapi) // the client may be gone
	})
	for _, each := range a.routes() {
		var allowed []string
		for _, m := range each.methods {
			mux.HandleFunc(m.name+" "+each.path, a.checked(m))
			if allowed = append(allowed, m.name); m.name == "GET" {
				allowed = append(allowed, "HEAD")
			}
		}
		mux.HandleFunc(each.path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeProblem(w, problem(fault.Unsupported, CodePath, "the method "+r.Method+" is not supported here", r.URL.Path, "use "+strings.Join(allowed, " or ")))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(fault.NotFound, CodePath, "there is nothing at this path", r.URL.Path, "see /api/v1/openapi.json for what there is"))
	})
	return guard(mux)
}

// checked refuses what no route should have to look at: a model that is not filled
// yet, and parameters that are unknown or given twice.
func (a *rest) checked(to method) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-a.ready:
		default:
			writeProblem(w, starting())
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // a stream sets its own
		err := checkParameters(r.URL.RawQuery, to.parameters)
		if err == nil {
			err = to.serve(w, r)
		}
		if err != nil {
			writeProblem(w, problemOf(err))
		}
	}
}

func starting() *Problem {
	return problem(fault.Unavailable, CodeStarting, "the service is still reading what is known", "control-api", "try again in a moment; /readyz says when")
}

func checkParameters(raw string, known []string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem(fault.Invalid, CodeRequest, "the query cannot be read: "+err.Error(), "query", "escape special characters as in user=anna%40contoso.example")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			return problem(fault.Invalid, CodeRequest, "the parameter "+name+" is unknown", name, "use "+cmp.Or(strings.Join(known, ", "), "none"))
		case len(values) > 1:
			return problem(fault.Invalid, CodeRequest, "the parameter "+name+" is given twice", name, "give it once")
		}
	}
	return nil
}

func (a *rest) serveStatus(w http.ResponseWriter, r *http.Request) error {
	people, err := a.model.find(r.FormValue("tenant"), r.FormValue("user"))
	if err != nil {
		return err
	}
	stale, err := yes(r, "stale")
	if err != nil {
		return err
	}
	if stale {
		people = a.model.stale(people)
	}
	writeJSON(w, a.model.list(people))
	return nil
}

// yes reads a parameter that is true, false or left out.
func yes(r *http.Request, name string) (bool, error) {
	switch text := r.FormValue(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, problem(fault.Invalid, CodeRequest, strconv.Quote(text)+" is neither true nor false", name, "give "+name+"=true, or leave it out")
	}
}

func (a *rest) serveExplain(w http.ResponseWriter, r *http.Request) error {
	var at time.Time
	if text := r.FormValue("at"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return problem(fault.Invalid, CodeRequest, "the time "+text+" cannot be read", "at", "give it as RFC 3339 has it, such as 2026-03-29T14:02:07Z")
		}
	}
	explanations, err := a.explain.explain(r.Context(), r.FormValue("tenant"), r.FormValue("user"), at)
	if err != nil {
		return err
	}
	writeJSON(w, explanations)
	return nil
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
)

func (a *rest) planRoutes() []route {
	return []route{
		{"/api/v1/plans", []method{{"GET", []string{"tenant"}, a.getPlans}, {"POST", nil, a.postPlan}}},
		{"/api/v1/plans/{id}", []method{{"GET", []string{"offset", "limit"}, a.getPlan}}},
		{"/api/v1/plans/{id}/apply", []method{{"POST", nil, a.postApply}}},
		{"/api/v1/phonebooks", []method{{"GET", []string{"tenant"}, a.getPhonebooks}}},
		{"/api/v1/sync", []method{{"POST", nil, a.postSync}}},
	}
}

func (a *rest) getPlans(w http.ResponseWriter, r *http.Request) error {
	list, err := a.plans.list(r.Context(), r.FormValue("tenant"))
	if err != nil {
		return err
	}
	writeJSON(w, list)
	return nil
}

func (a *rest) postPlan(w http.ResponseWriter, r *http.Request) error {
	return posted(w, r, func(body SyncBody) (Order, error) { return a.orders.plan(r.Context(), body) })
}

func (a *rest) postApply(w http.ResponseWriter, r *http.Request) error {
	return posted(w, r, func(body ApplyBody) (Order, error) { return a.orders.apply(r.Context(), r.PathValue("id"), body) })
}

func (a *rest) postSync(w http.ResponseWriter, r *http.Request) error {
	return posted(w, r, func(body SyncBody) (Order, error) { return a.orders.sync(r.Context(), body) })
}

// posted answers with the order that a body asks for.
func posted[T any](w http.ResponseWriter, r *http.Request, ask func(T) (Order, error)) error {
	var body T
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	order, err := ask(body)
	if err != nil {
		return err
	}
	writeJSON(w, order)
	return nil
}

// getPlan answers with a plan while it is read: it can have a hundred thousand changes.
// What breaks off in the middle ends the connection, so that nobody takes the part for
// the whole.
func (a *rest) getPlan(w http.ResponseWriter, r *http.Request) error {
	offset, err := count(r, "offset", 0)
	if err != nil {
		return err
	}
	limit, err := count(r, "limit", everything)
	if err != nil {
		return err
	}
	p, err := a.plans.get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := &planWriter{w: w, control: http.NewResponseController(w), plan: p}
	err = p.changes(r.Context(), offset, limit, out.some)
	if err == nil {
		err = out.end()
	}
	if err != nil && out.begun {
		panic(http.ErrAbortHandler)
	}
	return err
}

// count reads a parameter that is a number of things.
func count(r *http.Request, name string, otherwise int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, problem(fault.Invalid, CodeRequest, strconv.Quote(text)+" is no number of changes", name, "give "+name+"=500, or leave it out")
	}
	return int(n), nil
}

// planWriter writes a plan in JSON, its changes last.
type planWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	plan    Plan
	begun   bool // something is written
	several bool // a change is
}

// some writes some changes.
func (p *planWriter) some(changes []plan.Change) error {
	var text bytes.Buffer
	if err := p.begin(&text); err != nil {
		return err
	}
	for _, c := range changes {
		one, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if p.several {
			text.WriteByte(',')
		}
		p.several = true
		text.WriteByte('\n')
		text.Write(one)
	}
	return p.write(text.Bytes())
}

// begin writes what comes before the changes, once.
func (p *planWriter) begin(text *bytes.Buffer) error {
	if p.begun {
		return nil
	}
	head, err := json.Marshal(p.plan)
	if err != nil {
		return err
	}
	text.Write(bytes.TrimSuffix(head, []byte("}")))
	text.WriteString(`,"changes":[`)
	p.w.Header().Set("Content-Type", "application/json")
	return nil
}

// end writes what comes behind them.
func (p *planWriter) end() error {
	var text bytes.Buffer
	if err := p.begin(&text); err != nil {
		return err
	}
	text.WriteString("]}\n")
	return p.write(text.Bytes())
}

// write sends a part. Each has its own time, so that only a reader who stands still is
// given up.
func (p *planWriter) write(text []byte) error {
	p.begun = true
	if err := p.control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		return err
	}
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	return p.control.Flush()
}

package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
)

func TestTheDescriptionHasTheRoutesAndFieldsThatThereAre(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		t.Fatal(err)
	}
	served := map[string][]string{"GET /api/v1/openapi.json": nil}
	for _, r := range (&rest{}).routes() {
		for _, m := range r.methods {
			served[m.name+" "+r.path] = m.parameters
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			parameters, known := served[method+" "+path]
			delete(served, method+" "+path)
			if !known {
				t.Errorf("%s %s is described, and not served", method, path)
				continue
			}
			var described []string
			for _, p := range operation.Parameters {
				if p.Value.In == "query" {
					described = append(described, p.Value.Name)
				}
				if p.Value.In == "path" && !strings.Contains(path, "{"+p.Value.Name+"}") {
					t.Errorf("%s %s: there is no %s in the path", method, path, p.Value.Name)
				}
			}
			if !slices.Equal(described, parameters) {
				t.Errorf("%s %s: parameters %v described, %v served", method, path, described, parameters)
			}
		}
	}
	if len(served) > 0 {
		t.Errorf("not described: %v", served)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]any{"Status": Status{}, "Claim": Claim{}, "Teams": Teams{}, "Change": Change{}, "Explanation": Explanation{}, "Step": Step{}, "Problem": Problem{},
		"ToTeams": ToTeams{}, "OptionsEntry": OptionsEntry{}, "EffectiveOption": EffectiveOption{}, "Choice": Choice{}, "Pause": Pause{},
		"Lane": Lane{}, "Order": Order{}, "OrderBody": OrderBody{},
		"SyncBody": SyncBody{}, "ApplyBody": ApplyBody{}, "Plan": Plan{}, "Brake": plan.State{}, "PlannedChange": plan.Change{}, "FieldChange": plan.FieldChange{},
		"Remark": plan.Remark{}, "Attempt": plan.Attempt{}, "Phonebooks": books.State{}, "PhonebookStanding": books.Standing{}, "Phonebook": directory.Book{},
		"Options": options.Record{}, "Manual": options.Manual{}, "Chosen": options.Chosen{}, "Members": Members{}} {
		schema := doc.Components.Schemas[name].Value
		var described []string
		for field := range schema.Properties {
			described = append(described, field)
		}
		all, always := fields(reflect.TypeOf(value))
		slices.Sort(described)
		slices.Sort(schema.Required)
		if !slices.Equal(described, all) || !slices.Equal(schema.Required, always) {
			t.Errorf("%s: described %v, always %v;\nthere are %v, always %v", name, described, schema.Required, all, always)
		}
	}
}

// fields lists the JSON members of a struct, and those that are never left out.
func fields(of reflect.Type) (all, always []string) {
	for _, f := range reflect.VisibleFields(of) {
		tag, ok := f.Tag.Lookup("json")
		if !ok {
			continue // embedded, or not exported
		}
		name, options, _ := strings.Cut(tag, ",")
		all = append(all, name)
		if options != "omitempty" && options != "omitzero" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

func TestTheDescriptionIsServed(t *testing.T) {
	a := &rest{ready: make(chan struct{})}
	w := httptest.NewRecorder()
	a.handler(run.NewHealth()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/api/v1/openapi.json", nil))
	if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func TestBeforeTheModelIsFilledEveryQuestionIsAnsweredNotYet(t *testing.T) {
	a := &rest{ready: make(chan struct{})}
	for _, r := range a.routes() {
		for _, m := range r.methods {
			w := httptest.NewRecorder()
			a.handler(run.NewHealth()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), m.name, "http://127.0.0.1"+r.path, nil))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), CodeStarting) {
				t.Errorf("%s %s: %d %s", m.name, r.path, w.Code, w.Body)
			}
		}
	}
	_, status := (service{rest: a}).ListStatus(t.Context(), nil)
	_, pause := (service{rest: a}).PutPause(t.Context(), nil)
	for _, err := range []error{status, pause} {
		if err == nil || !strings.Contains(err.Error(), CodeStarting) {
			t.Errorf("over gRPC: %v", err)
		}
	}
}

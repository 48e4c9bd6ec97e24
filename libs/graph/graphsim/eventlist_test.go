package graphsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

// The list has series as their masters, each with its pattern as Graph writes it
// (learn.microsoft.com/graph/api/resources/recurrencepattern).
func TestTheListOfEventsHasTheMastersOfSeries(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	repeating := func(r graphsim.Recurrence) func(*graphsim.Meeting) {
		return func(m *graphsim.Meeting) { m.Repeat = &r }
	}
	patterns := []struct {
		edit func(*graphsim.Meeting)
		want string // type, dayOfMonth, index, daysOfWeek, range
	}{
		{nil, "singleInstance"},
		{repeating(graphsim.Recurrence{Every: "week", Days: []time.Weekday{1, 3}, Count: 9}), "seriesMaster weekly 0 first [monday wednesday] numbered"},
		{repeating(graphsim.Recurrence{Every: "month"}), "seriesMaster absoluteMonthly 23 first [] noEnd"},
		{repeating(graphsim.Recurrence{Every: "month", Index: "last", Days: []time.Weekday{5}, Until: "2027-12-31"}), "seriesMaster relativeMonthly 0 last [friday] endDate"},
	}
	for i, p := range patterns {
		s.meet("anna", 60*i, 60*i+30, p.edit)
	}
	path := "/users/" + s.id("anna") + "/events?$top=3&$select=subject,start,type,recurrence"
	pages, at := [][]map[string]any{}, path
	for at != "" {
		got := s.graph("GET", at, token, nil)
		if got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.message())
		}
		pages, at = append(pages, got.values()), got.text("@odata.nextLink")
	}
	if len(pages) != 2 || len(pages[0]) != 3 || len(pages[1]) != 1 {
		t.Fatalf("pages %v", pages)
	}
	for i, e := range append(pages[0], pages[1]...) {
		text := fmt.Sprint(e["type"])
		if r, ok := e["recurrence"].(map[string]any); ok {
			pattern, span := r["pattern"].(map[string]any), r["range"].(map[string]any)
			text = fmt.Sprint(text, " ", pattern["type"], " ", pattern["dayOfMonth"], " ", pattern["index"], " ", pattern["daysOfWeek"], " ", span["type"])
		}
		if text != patterns[i].want || e["body"] != nil || e["@odata.etag"] == nil {
			t.Errorf("%d: %s %v, want %s", i, text, e, patterns[i].want)
		}
	}
	for query, status := range map[string]int{"$filter=x eq 1": 400, "$skip=-1": 400, "$top=0": 400, "$select=mood": 400} {
		if got := s.graph("GET", "/users/"+s.id("anna")+"/events?"+strings.ReplaceAll(query, " ", "%20"), token, nil); got.status != status {
			t.Errorf("%s: %d", query, got.status)
		}
	}
	check(t, s.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Denied = true }))
	if got := s.graph("GET", path, token, nil); got.status != http.StatusForbidden {
		t.Errorf("a mailbox that the app may not read: %d", got.status)
	}
}

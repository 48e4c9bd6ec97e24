package writer

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

var update = flag.Bool("update", false, "rewrite generated parts of the documentation")

const (
	capabilitiesBegin = "<!-- capabilities -->\n"
	capabilitiesEnd   = "<!-- /capabilities -->"
)

// can is what one driver declares as it is configured in one way.
type can struct {
	with     string // what is different from the driver's first, which says as little as it may: ""
	says     pbx.Capabilities
	requests string // that one status took, at the phone system
}

// capabilityRows are the lines of the table: a name, and what to say of a driver.
var capabilityRows = []struct {
	name string
	cell func(can) string
}{
	{"statuses written", func(c can) string { return statusCell(c.says.Powers.Write) }},
	{"statuses read", func(c can) string { return statusCell(c.says.Powers.Read) }},
	{"statuses with which the phone rings", func(c can) string { return statusCell(c.says.Powers.Ring) }},
	{"forgets statuses by itself", func(c can) string { return yes(c.says.Volatile) }},
	{"requests that one status takes", func(c can) string { return c.requests }},
	{"statuses read at a time", func(c can) string { return orNone(c.says.Several) }},
	{"calls are watched", func(c can) string { return yes(c.says.Watch.Calls) }},
	{"statuses are watched", func(c can) string { return yes(c.says.Watch.Status) }},
	{"extensions are listed", func(c can) string { return yes(c.says.Extensions) }},
	{"extensions are made, changed, deleted", func(c can) string { return yes(c.says.Writer.Any()) }},
	{"... with these fields", func(c can) string { return list(c.says.Writer.Fields) }},
	{"... and a marker of whose they are", func(c can) string { return marker(c.says.Writer) }},
	{"... deleted at a time", func(c can) string { return orNone(c.says.Writer.Batch) }},
	{"the company's phonebook", func(c can) string { return yes(c.says.Phonebook.Company) }},
	{"personal phonebooks", func(c can) string { return yes(c.says.Phonebook.Personal) }},
	{"... numbers of an entry", func(c can) string { return list(c.says.Phonebook.Numbers) }},
	{"... entries deleted at a time", func(c can) string { return orNone(c.says.Phonebook.Batch) }},
	{"photos", func(c can) string { return list(c.says.Photo.Formats) }},
	{"calls are made for somebody", func(c can) string { return yes(c.says.Dial) }},
	{"its own Microsoft 365 sync is detected", func(c can) string { return yes(c.says.NativeSync) }},
	{"its version is known", func(c can) string { return yes(c.says.Version != "") }},
}

const nothing = "no"

func yes(is bool) string {
	if is {
		return "yes"
	}
	return nothing
}

func orNone(n int) string {
	if n == 0 {
		return nothing
	}
	return fmt.Sprint(n)
}

func list[Word ~string](all []Word) string {
	var words []string
	for _, word := range all {
		words = append(words, strings.ReplaceAll(string(word), "_", " "))
	}
	if len(words) == 0 {
		return nothing
	}
	return strings.Join(words, ", ")
}

func statusCell(set presence.Set) string {
	if set == presence.All {
		return "all five"
	}
	var names []string
	for _, s := range set.Slice() {
		names = append(names, s.String())
	}
	return list(names)
}

func marker(w pbx.WriterPowers) string {
	switch w.Marker {
	case pbx.ListedMarker:
		return "told in lists"
	case pbx.SingleMarker:
		return "told of one at a time"
	}
	return nothing
}

// capabilityTable is the table of what drivers can. In a cell stands what a driver can
// when it is told as little as possible, then what is different otherwise.
func capabilityTable(names []string, all map[string][]can) string {
	var b strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head, rule := []string{""}, []string{"---"}
	for _, name := range names {
		head, rule = append(head, "`"+name+"`"), append(rule, "---")
	}
	line(head...)
	line(rule...)
	for _, row := range capabilityRows {
		cells := []string{row.name}
		for _, name := range names {
			cells = append(cells, ways(all[name], row.cell))
		}
		line(cells...)
	}
	return b.String()
}

// ways is what cell says of the first, then of those of which it says something else.
func ways(all []can, cell func(can) string) string {
	first := cell(all[0])
	others := make(map[string][]string)
	var order []string
	for _, other := range all[1:] {
		says := cell(other)
		if says == first {
			continue
		}
		if others[says] == nil {
			order = append(order, says)
		}
		others[says] = append(others[says], other.with)
	}
	text := first
	for _, says := range order {
		text += "; " + strings.Join(others[says], " or ") + ": " + says
	}
	return text
}

// generated returns text with table where it belongs.
func generated(text, table string) (string, error) {
	before, rest, begins := strings.Cut(text, capabilitiesBegin)
	_, after, ends := strings.Cut(rest, capabilitiesEnd)
	if !begins || !ends {
		return "", fmt.Errorf("there is no place for the table: %s and %s", strings.TrimSpace(capabilitiesBegin), capabilitiesEnd)
	}
	return before + capabilitiesBegin + table + capabilitiesEnd + after, nil
}

func TestTheDriversReadmeHasWhatTheyDeclare(t *testing.T) {
	all := make(map[string][]can)
	var names []string
	for _, example := range examples {
		for _, way := range example.ways {
			t.Run(strings.TrimSpace(example.driver+" "+way.with), func(t *testing.T) {
				s := way.start(t)
				s.system.Driver = example.driver
				declared := opened(t, s)
				declared.with = way.with
				all[example.driver] = append(all[example.driver], declared)
			})
		}
		names = append(names, example.driver)
	}
	if !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(drivers))) {
		t.Fatalf("the table has %v", names)
	}
	if t.Failed() {
		return
	}
	name := filepath.Join("..", "..", "..", "docs", "drivers", "README.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generated(string(text), capabilityTable(names, all))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("the table of docs/drivers/README.md is not what drivers declare: go test ./services/pbx-writer/writer -run Readme -update")
	}
}

// opened opens a system's driver and finds out what it can, and that it declares what it
// implements.
func opened(t *testing.T, s simulated) can {
	t.Helper()
	driver, err := OpenDriver(t.Context(), s.system)
	if err != nil {
		t.Fatal(err)
	}
	system, err := pbx.NewSystem("table", driver, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	found := can{says: system.Capabilities()}
	// The first write may need what the second has: a session, a key.
	for _, status := range []presence.Status{presence.DND, presence.Available} {
		before := 0
		if s.requests != nil {
			before = s.requests()
		}
		if err := system.SetStatus(t.Context(), s.extension, status); err != nil {
			t.Fatal(err)
		}
		if s.requests == nil {
			found.requests = "none: it is in this process"
		} else {
			found.requests = strconv.Itoa(s.requests() - before)
		}
	}
	return found
}

// A driver that can more or less than the table says, or in other ways, changes it.
func TestTheTableOfCapabilitiesShowsEveryPower(t *testing.T) {
	poor := can{with: "`poor: true`"}
	rich := map[string]func(*pbx.Capabilities){
		"written":     func(c *pbx.Capabilities) { c.Powers.Write = presence.SetOf(presence.DND) },
		"read":        func(c *pbx.Capabilities) { c.Powers.Read = presence.All },
		"ring":        func(c *pbx.Capabilities) { c.Powers.Ring = presence.SetOf(presence.Lunch) },
		"volatile":    func(c *pbx.Capabilities) { c.Volatile = true },
		"calls":       func(c *pbx.Capabilities) { c.Watch.Calls = true },
		"changes":     func(c *pbx.Capabilities) { c.Watch.Status = true },
		"listed":      func(c *pbx.Capabilities) { c.Extensions = true },
		"fields":      func(c *pbx.Capabilities) { c.Writer.Fields = append(c.Writer.Fields, "caller_id") },
		"marker":      func(c *pbx.Capabilities) { c.Writer.Marker = pbx.SingleMarker },
		"deletions":   func(c *pbx.Capabilities) { c.Writer.Batch = 7 },
		"company":     func(c *pbx.Capabilities) { c.Phonebook.Company = true },
		"personal":    func(c *pbx.Capabilities) { c.Phonebook.Personal = true },
		"numbers":     func(c *pbx.Capabilities) { c.Phonebook.Numbers = append(c.Phonebook.Numbers, "fax") },
		"entries":     func(c *pbx.Capabilities) { c.Phonebook.Batch = 7 },
		"photos":      func(c *pbx.Capabilities) { c.Photo.Formats = []string{"image/png"} },
		"dialled":     func(c *pbx.Capabilities) { c.Dial = true },
		"native sync": func(c *pbx.Capabilities) { c.NativeSync = true },
		"version":     func(c *pbx.Capabilities) { c.Version = "1" },
	}
	table := func(all ...can) string { return capabilityTable([]string{"x"}, map[string][]can{"x": all}) }
	if table(can{}) != table(can{}, poor) {
		t.Error("what makes no difference is mentioned")
	}
	for name, add := range rich {
		more := can{with: "`rich: true`"}
		add(&more.says)
		if table(more) == table(can{}) {
			t.Errorf("%s: the table is the same", name)
		}
		if !strings.Contains(table(can{}, more), "; `rich: true`: ") {
			t.Errorf("%s: it is not said what the option changes", name)
		}
	}
	if table(can{requests: "2"}) == table(can{requests: "1"}) {
		t.Error("requests: the table is the same")
	}
	if _, err := generated("# Drivers\n", table(can{})); err == nil {
		t.Error("a file without a place for the table is taken")
	}
}

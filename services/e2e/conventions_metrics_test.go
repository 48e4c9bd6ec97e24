package e2e

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	instrumentCall = regexp.MustCompile(`^(Int64|Float64)(Observable)?(UpDownCounter|Counter|Histogram|Gauge)$`)
	instrumentName = regexp.MustCompile(`^offhook(_[a-z][a-z0-9]*)+$`)
	// The exporter puts these behind a name: of counters, and for units.
	added = []string{"_total", "_seconds", "_milliseconds", "_bytes", "_ratio", "_percent"}
)

// instruments lists what is wrong with the names of metrics, and how many there are.
func instruments(all []source) (wrong []string, count int) {
	kinds := map[string]string{} // of a name: what it was made as, where
	for _, s := range all {
		if s.test || s.generated {
			continue
		}
		where := path.Join(s.dir, s.name)
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			kind := instrumentKind(call)
			if kind == "" {
				return true
			}
			count++
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				wrong = append(wrong, where+": the name of a metric is not written out")
				return true
			}
			name, _ := strconv.Unquote(literal.Value)
			if !instrumentName.MatchString(name) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is not offhook_ and words of small letters", where, name))
			}
			for _, end := range added {
				if strings.HasSuffix(name, end) {
					wrong = append(wrong, fmt.Sprintf("%s: the exporter adds %s to the name: %s", where, end, name))
				}
			}
			if before, made := kinds[name]; made && before != kind {
				wrong = append(wrong, fmt.Sprintf("%s: %s is a %s here and a %s elsewhere", where, name, kind, before))
			}
			kinds[name] = kind
			return true
		})
	}
	slices.Sort(wrong)
	return wrong, count
}

// instrumentKind returns what a call makes, with its unit: "Counter", "Gauge in s";
// "" if it makes no metric.
func instrumentKind(call *ast.CallExpr) string {
	called, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	m := instrumentCall.FindStringSubmatch(called.Sel.Name)
	if m == nil {
		return ""
	}
	kind := m[3]
	for _, option := range call.Args[1:] {
		with, ok := option.(*ast.CallExpr)
		if !ok {
			continue
		}
		if f, ok := with.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "WithUnit" && len(with.Args) == 1 {
			if unit, ok := with.Args[0].(*ast.BasicLit); ok {
				kind += " in " + strings.Trim(unit.Value, `"`)
			}
		}
	}
	return kind
}

func TestMetricsHaveGoodNames(t *testing.T) {
	all, err := sources(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	wrong, count := instruments(all)
	for _, each := range wrong {
		t.Error(each)
	}
	if count < 15 {
		t.Errorf("only %d metrics are found: the guard is asleep", count)
	}
}

func TestABadNameOfAMetricIsFound(t *testing.T) {
	for _, c := range []struct{ name, calls, want string }{
		{"a good one", `m.Int64Counter("offhook_pbx_writes")`, ""},
		{"the same one twice", `m.Int64Counter("offhook_writes"); m.Float64Counter("offhook_writes")`, ""},
		{"another prefix", `m.Int64Counter("pbx_writes")`, "is not offhook_"},
		{"capitals", `m.Int64Gauge("offhook_pbxWrites")`, "is not offhook_"},
		{"two lines", `m.Int64Gauge("offhook__writes")`, "is not offhook_"},
		{"what the exporter adds to counters", `m.Int64Counter("offhook_writes_total")`, "the exporter adds _total"},
		{"what the exporter adds for units", `m.Float64Histogram("offhook_sweep_seconds", metric.WithUnit("s"))`, "the exporter adds _seconds"},
		{"a counter and a gauge", `m.Int64Counter("offhook_x"); m.Int64ObservableGauge("offhook_x")`, "elsewhere"},
		{"two units", `m.Float64Gauge("offhook_x", metric.WithUnit("s")); m.Float64Gauge("offhook_x", metric.WithUnit("By"))`, "elsewhere"},
		{"a name that is put together", `m.Int64Counter("offhook_" + x)`, "not written out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := sources(fstest.MapFS{"libs/x/x.go": {Data: []byte("package x\nfunc f() {" + c.calls + "}\n")}})
			if err != nil {
				t.Fatal(err)
			}
			wrong, _ := instruments(all)
			if found := strings.Join(wrong, "\n"); (found == "") != (c.want == "") || !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

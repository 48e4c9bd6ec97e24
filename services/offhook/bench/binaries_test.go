package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sourceTree makes a source tree with a service and an `offhook` whose dev does what
// the text says.
func sourceTree(t *testing.T, dev string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.work":                     "go 1.26.0\n\nuse ./services\n",
		"services/go.mod":             "module example.com/services\n\ngo 1.26.0\n",
		"services/user-sync/main.go":  "package main\n\nfunc main() {}\n",
		"services/offhook/main.go":    "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n" + dev + "\n\tfmt.Fprintln(os.Stderr, os.Args)\n}\n",
		"services/user-sync/other.go": "package main\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestBinariesAreBuiltWeighedAndStarted(t *testing.T) {
	o := tiny(t, "binaries")
	o.Source = sourceTree(t, "\tfmt.Println(\"  ready in 0.1 s\")")
	var out strings.Builder
	if err := Run(t.Context(), &out, o); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, wanted := range []string{"| user-sync ", "| offhook ", " MB ", "from exec to ready", "warm cache"} {
		if !strings.Contains(out.String(), wanted) {
			t.Errorf("no %q in\n%s", wanted, out.String())
		}
	}
}

func TestAnOffhookThatIsNeverReadyIsAnErrorWithItsWords(t *testing.T) {
	o := tiny(t, "binaries")
	o.Source = sourceTree(t, "\tfmt.Println(\"no free port\")")
	if err := Run(t.Context(), new(strings.Builder), o); err == nil || !strings.Contains(err.Error(), "no free port") {
		t.Errorf("error %v", err)
	}
}

func TestOnlyWhoTalksToGraphMayCarryTheSDK(t *testing.T) {
	for _, c := range []struct {
		name    string
		modules []string
		wrong   bool
	}{
		{"offhook", []string{serverModule, sdkModule}, false},
		{"graph-poller", []string{sdkModule}, false},
		{"graph-writer", []string{sdkModule}, false},
		{"user-sync", []string{"offhook.dev/libs"}, false},
		{"user-sync", []string{"offhook.dev/libs", sdkModule}, true},
		{"webhook-receiver", []string{sdkModule}, true},
	} {
		var r Report
		if r.carries(c.name, 1, c.modules); (len(r.Wrong) > 0) != c.wrong {
			t.Errorf("%s with %v: %v", c.name, c.modules, r.Wrong)
		}
	}
}

package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook.dev/libs/topology"
)

var update = flag.Bool("update", false, "rewrite generated parts of the documentation")

const (
	tableBegins = "<!-- topology -->\n"
	tableEnds   = "<!-- /topology -->"
)

func TestTheReadmesTableIsTheTopology(t *testing.T) {
	name := filepath.Join(root(t), "README.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !found || !ends {
		t.Fatal("README.md has no place for the table")
	}
	want := before + tableBegins + topology.Markdown() + tableEnds + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("the README's table is not the topology: go test ./services/e2e -run Readme -update")
	}
}

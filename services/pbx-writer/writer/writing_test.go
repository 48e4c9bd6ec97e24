package writer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/pbx/pbxtest"
)

// spokenOf are the packages whose names docs/drivers/writing.md may mention.
var spokenOf = map[string]string{"pbx": "libs/pbx", "pbxtest": "libs/pbx/pbxtest", "fault": "libs/core/fault", "presence": "libs/core/presence"}

var (
	aName = regexp.MustCompile(`\b(pbx|pbxtest|fault|presence)\.([A-Z]\w*)`)
	aPath = regexp.MustCompile("`((?:libs|services|docs)/[A-Za-z0-9_./-]+)`")
	aCase = regexp.MustCompile(`"([a-z][a-z ,]{10,})"`)
)

// untrue lists what text mentions and is not there: exported names of packages, files, and
// cases of the suite, between double quotes.
func untrue(t *testing.T, root, text string) (missing []string) {
	t.Helper()
	exported := make(map[string]map[string]bool)
	for name, folder := range spokenOf {
		exported[name] = exports(t, filepath.Join(root, folder))
	}
	for _, found := range aName.FindAllStringSubmatch(text, -1) {
		if !exported[found[1]][found[2]] {
			missing = append(missing, found[0])
		}
	}
	for _, found := range aPath.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(root, found[1])); err != nil && !strings.Contains(found[1], "NAME") {
			missing = append(missing, found[1])
		}
	}
	for _, found := range aCase.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
		if !slices.Contains(pbxtest.Names(), found[1]) {
			missing = append(missing, found[1])
		}
	}
	return missing
}

// exports are the exported names that a package declares at its top level.
func exports(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, name := range s.Names {
							names[name.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func TestWhatTheGuideForAuthorsNamesIsThere(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "drivers", "writing.md"))
	if err != nil {
		t.Fatal(err)
	}
	if missing := untrue(t, root, string(text)); len(missing) > 0 {
		t.Errorf("docs/drivers/writing.md names what is not there: %v", missing)
	}
	for _, driver := range slices.Sorted(maps.Keys(drivers)) {
		if _, err := os.Stat(filepath.Join(root, "docs", "drivers", driver+".md")); err != nil {
			t.Errorf("the driver %s has no documentation: %v", driver, err)
		}
	}
	// The check finds what is not there, and leaves alone what is no name of ours.
	got := untrue(t, root, "`pbx.Drivers`, pbx.Driver, `pbx.example.com`, `fault.Kindly`, pbxtest.Run, `libs/pbx/driver.go`, `libs/pbx/drover.go`, \"throttling carries\n"+
		"its delay\" and \"throttling carries no delay\"")
	if want := []string{"pbx.Drivers", "fault.Kindly", "libs/pbx/drover.go", "throttling carries no delay"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

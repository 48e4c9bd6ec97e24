package e2e

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sdk is Microsoft's SDK: its root package pulls in all of its sub-packages.
const sdk = "github.com/microsoftgraph/msgraph-sdk-go"

// speakGraph are the programs that may carry the SDK, which costs minutes of build
// and tens of megabytes.
var speakGraph = []string{"services/graph-poller", "services/graph-writer", "services/offhook"}

// carriers lists the packages that import the SDK themselves, and the programs that
// have it in them. Tests do not count.
func carriers(all []source) (direct, programs []string) {
	imports := map[string]map[string]bool{} // of our packages
	mains := map[string]bool{}
	for _, s := range all {
		if s.test {
			continue
		}
		if imports[s.dir] == nil {
			imports[s.dir] = map[string]bool{}
		}
		for _, imported := range s.imports() {
			imports[s.dir][imported] = true
		}
		mains[s.dir] = mains[s.dir] || s.file.Name.Name == "main"
	}
	carries := map[string]bool{}
	var visit func(dir string) bool
	visit = func(dir string) bool {
		if known, seen := carries[dir]; seen {
			return known
		}
		carries[dir] = false // packages import each other in no circle
		for imported := range imports[dir] {
			to, mine := ours(imported)
			if strings.HasPrefix(imported, sdk+"/") || mine && visit(to) {
				carries[dir] = true
			}
		}
		return carries[dir]
	}
	for _, dir := range slices.Sorted(maps.Keys(imports)) {
		if slices.ContainsFunc(slices.Collect(maps.Keys(imports[dir])), func(i string) bool { return strings.HasPrefix(i, sdk) }) {
			direct = append(direct, dir)
		}
		if mains[dir] && visit(dir) {
			programs = append(programs, dir)
		}
	}
	return direct, programs
}

func TestOnlyProgramsThatSpeakToGraphCarryTheSDK(t *testing.T) {
	all, err := sources(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	direct, programs := carriers(all)
	t.Logf("imported by %v, carried by %v", direct, programs)
	if !slices.Equal(direct, []string{"libs/graph/msgraph"}) {
		t.Errorf("the SDK is imported by %v", direct)
	}
	for _, program := range programs {
		if !slices.Contains(speakGraph, program) {
			t.Errorf("%s carries the SDK", program)
		}
	}
	for _, program := range []string{"services/graph-poller", "services/offhook"} {
		if !slices.Contains(programs, program) {
			t.Errorf("%s is not found to carry the SDK: the guard is asleep", program)
		}
	}
}

func TestAProgramThatCarriesTheSDKIsFound(t *testing.T) {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"libs/graph/msgraph/a.go":     `package msgraph; import _ "` + sdk + `/users"`,
		"libs/between/a.go":           `package between; import _ "offhook.dev/libs/graph/msgraph"`,
		"services/far/main.go":        `package main; import _ "offhook.dev/libs/between"`,
		"services/tests/main.go":      `package main`,
		"services/tests/main_test.go": `package main; import _ "offhook.dev/libs/between"`,
	} {
		tree[path.Clean(name)] = &fstest.MapFile{Data: []byte(text)}
	}
	all, err := sources(tree)
	if err != nil {
		t.Fatal(err)
	}
	direct, programs := carriers(all)
	if !slices.Equal(direct, []string{"libs/graph/msgraph"}) || !slices.Equal(programs, []string{"services/far"}) {
		t.Errorf("imported by %v, carried by %v", direct, programs)
	}
}

package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// A convention that matters is a test, and each such test is shown to fail: see the
// table of broken trees below.

const module = "offhook.dev/"

// source is one Go file of the tree.
type source struct {
	dir, name string // "libs/bus", "bus.go"
	test      bool
	generated bool
	file      *ast.File
	set       *token.FileSet
}

func sources(tree fs.FS) ([]source, error) {
	var all []source
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path.Dir(name), path.Base(name), strings.HasSuffix(name, "_test.go"), ast.IsGenerated(file), file, set})
		return nil
	})
	return all, err
}

func (s source) imports() []string {
	var paths []string
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// ours cuts our module's prefix off an import path.
func ours(p string) (string, bool) { return strings.CutPrefix(p, module) }

func under(dir string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") })
}

// siblings are the libraries that know the core and their own kind only.
var siblings = []string{"libs/graph", "libs/pbx", "libs/bus", "libs/store", "libs/hot"}

// wall names the rule that an import breaks, or "".
func wall(s source, imported string) string {
	to, mine := ours(imported)
	in := func(roots ...string) bool { return under(s.dir, roots...) }
	for _, root := range siblings {
		for _, other := range siblings {
			if root != other && in(root) && mine && under(to, other) && !s.test {
				return root + " does not import " + other
			}
		}
	}
	switch {
	case in("libs/core") && !under(to, "libs/core") && (mine || strings.Contains(strings.Split(imported, "/")[0], ".")):
		return "the core has no dependencies"
	case in("libs/core") && !s.test && under(imported, "sync"):
		return "the core shares nothing: it is tested without the race detector"
	case in("libs", "proto") && under(to, "services"):
		return "libraries do not import services"
	case in("services") && under(to, "services") && !in("services/offhook", "services/e2e") && firstTwo(to) != firstTwo(s.dir):
		return "nobody imports a service but offhook and e2e"
	case imported == sdk:
		return "the SDK's root package alone costs minutes of build: import its sub-packages"
	case strings.HasPrefix(imported, "github.com/microsoftgraph/") && !in("libs/graph/msgraph"):
		return "Microsoft's SDK stays in libs/graph/msgraph"
	case under(to, "proto/gen/offhook/event") && !in("libs/wire", "proto"):
		return "libs/wire is the only bridge to the messages' wire types"
	case !s.test && mine && isTestPackage(to) && !isTestPackage(s.dir) && !in("services/simulator", "services/offhook", "services/e2e"):
		return "production code does not import packages for tests"
	}
	return ""
}

func firstTwo(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func isTestPackage(dir string) bool {
	return strings.HasSuffix(dir, "test") || strings.HasSuffix(dir, "sim")
}

// broken lists every convention that the tree breaks.
func broken(all []source) []string {
	var found []string
	docs := map[string][]string{}
	for _, s := range all {
		if s.generated {
			continue
		}
		where := path.Join(s.dir, s.name)
		for _, imported := range s.imports() {
			if rule := wall(s, imported); rule != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", where, imported, rule))
			}
		}
		if !s.test && !strings.HasSuffix(s.file.Name.Name, "_test") {
			if s.file.Doc != nil {
				docs[s.dir] = append(docs[s.dir], s.name)
			} else if docs[s.dir] == nil {
				docs[s.dir] = []string{}
			}
		}
		found = append(found, calls(s, where)...)
	}
	for dir, files := range docs {
		if len(files) != 1 {
			found = append(found, fmt.Sprintf("%s: %d files have a package comment (%s), one should", dir, len(files), strings.Join(files, ", ")))
		}
	}
	slices.Sort(found)
	return found
}

// calls finds what must not be called where.
func calls(s source, where string) []string {
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				found = append(found, where+": init functions hide what happens at the start")
			}
		case *ast.GoStmt:
			if !s.test && under(s.dir, "libs/core") {
				found = append(found, where+": the core starts no goroutine, and so is tested without the race detector")
			}
		case *ast.SelectorExpr:
			base, ok := n.X.(*ast.Ident)
			if !ok || s.test {
				return true
			}
			switch name := base.Name + "." + n.Sel.Name; {
			case name == "time.Now" && under(s.dir, "libs/core"):
				found = append(found, where+": the core has no clock; time is an argument")
			case (name == "context.Background" || name == "context.TODO") && s.name != "main.go":
				found = append(found, where+": "+name+" below main")
			case name == "time.Sleep":
				found = append(found, where+": time.Sleep cannot be cancelled")
			case name == "store.NewLease":
				found = append(found, where+": leases made by hand are for tests")
			}
		}
		return true
	})
	return found
}

// root is the folder that holds go.work.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.work above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func TestTheTreeKeepsItsConventions(t *testing.T) {
	all, err := sources(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files read: the guard is asleep", len(all))
	}
	for _, problem := range broken(all) {
		t.Error(problem)
	}
}

func TestEachConventionCanBeBroken(t *testing.T) {
	cases := []struct{ name, file, text, want string }{
		{"the core imports a library", "libs/core/presence/x.go", `import _ "offhook.dev/libs/bus"`, "no dependencies"},
		{"the core imports a module", "libs/core/presence/x.go", `import _ "github.com/nats-io/nats.go"`, "no dependencies"},
		{"the core shares something", "libs/core/presence/x.go", `import _ "sync/atomic"`, "shares nothing"},
		{"a sibling imports a sibling", "libs/pbx/threecx/x.go", `import _ "offhook.dev/libs/graph"`, "does not import libs/graph"},
		{"a library imports a service", "libs/run/x.go", `import _ "offhook.dev/services/offhook/cli"`, "do not import services"},
		{"a service imports a service", "services/user-sync/usersync/x.go", `import _ "offhook.dev/services/pbx-writer/writer"`, "nobody imports a service"},
		{"the SDK leaks", "services/graph-poller/poller/x.go", `import _ "github.com/microsoftgraph/msgraph-sdk-go/users"`, "SDK stays"},
		{"wire types leak", "services/pbx-writer/writer/x.go", `import _ "offhook.dev/proto/gen/offhook/event/v1"`, "only bridge"},
		{"production imports a simulator", "services/graph-poller/poller/x.go", `import _ "offhook.dev/libs/graph/graphsim"`, "packages for tests"},
		{"the core reads the clock", "libs/core/presence/x.go", `import "time"; var _ = time.Now`, "no clock"},
		{"the core does something beside", "libs/core/presence/x.go", `func x() { go x() }`, "starts no goroutine"},
		{"a context from nowhere", "services/user-sync/usersync/x.go", `import "context"; var _ = context.Background`, "below main"},
		{"an init function", "libs/bus/x.go", `func init() {}`, "init functions"},
		{"a sleep", "libs/bus/x.go", `import "time"; var _ = time.Sleep`, "cannot be cancelled"},
		{"the SDK's root package", "libs/graph/msgraph/x.go", `import _ "github.com/microsoftgraph/msgraph-sdk-go"`, "root package"},
		{"a lease made by hand", "services/pbx-writer/writer/x.go", `import "offhook.dev/libs/store"; var _ = store.NewLease`, "for tests"},
		{"no package comment", "libs/x/x.go", ``, "0 files have a package comment"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			finds(t, fstest.MapFS{c.file: {Data: []byte("package x\n" + c.text + "\n")}}, c.want)
		})
	}
	t.Run("two package comments", func(t *testing.T) {
		comment := &fstest.MapFile{Data: []byte("// Package x is x.\npackage x\n")}
		finds(t, fstest.MapFS{"libs/x/a.go": comment, "libs/x/b.go": comment}, "2 files have a package comment (a.go, b.go)")
	})
}

func finds(t *testing.T, tree fs.FS, want string) {
	t.Helper()
	all, err := sources(tree)
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Join(broken(all), "\n"); !strings.Contains(found, want) {
		t.Errorf("not found; found only:\n%s", found)
	}
}

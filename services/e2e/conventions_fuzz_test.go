package e2e

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// withoutCorpus lists the fuzz targets that keep no inputs, and counts all.
func withoutCorpus(tree fs.FS, all []source) (missing []string, count int) {
	for _, s := range all {
		if !s.test {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			count++
			folder := path.Join(s.dir, "testdata/fuzz", f.Name.Name)
			kept, _ := fs.ReadDir(tree, folder) // none: nothing is kept
			if !slices.ContainsFunc(kept, func(e fs.DirEntry) bool { return isInput(tree, path.Join(folder, e.Name())) }) {
				missing = append(missing, folder)
			}
		}
	}
	slices.Sort(missing)
	return missing, count
}

// isInput says whether go test takes a file for an input.
func isInput(tree fs.FS, name string) bool {
	text, err := fs.ReadFile(tree, name)
	return err == nil && bytes.HasPrefix(text, []byte("go test fuzz v1\n"))
}

func TestEveryFuzzTargetKeepsInputs(t *testing.T) {
	tree := os.DirFS(root(t))
	all, err := sources(tree)
	if err != nil {
		t.Fatal(err)
	}
	missing, count := withoutCorpus(tree, all)
	for _, folder := range missing {
		t.Errorf("%s holds no inputs: run make fuzz and keep some of what it finds interesting", folder)
	}
	if count < 20 {
		t.Errorf("only %d fuzz targets are found: the guard is asleep", count)
	}
}

func TestAFuzzTargetWithoutInputsIsFound(t *testing.T) {
	target := &fstest.MapFile{Data: []byte("package x\nfunc FuzzX(f *testing.F) {}\nfunc TestX() {}\n")}
	input := &fstest.MapFile{Data: []byte("go test fuzz v1\nstring(\"\")\n")}
	for _, c := range []struct {
		name string
		tree fstest.MapFS
		want []string
	}{
		{"it keeps one", fstest.MapFS{"libs/x/x_test.go": target, "libs/x/testdata/fuzz/FuzzX/a": input}, nil},
		{"it keeps none", fstest.MapFS{"libs/x/x_test.go": target}, []string{"libs/x/testdata/fuzz/FuzzX"}},
		{"another keeps one", fstest.MapFS{"libs/x/x_test.go": target, "libs/x/testdata/fuzz/FuzzY/a": input}, []string{"libs/x/testdata/fuzz/FuzzX"}},
		{"what it keeps is no input", fstest.MapFS{"libs/x/x_test.go": target, "libs/x/testdata/fuzz/FuzzX/a": target}, []string{"libs/x/testdata/fuzz/FuzzX"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := sources(c.tree)
			if err != nil {
				t.Fatal(err)
			}
			if missing, _ := withoutCorpus(c.tree, all); !slices.Equal(missing, c.want) {
				t.Errorf("found %v, want %v", missing, c.want)
			}
		})
	}
}

package contracttest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Contract is what a vendor's OpenAPI file promises about the wire. It is stricter
// about requests than the file is: they may name only what the file declares,
// because a service ignores a misspelt member and answers as if all were well.
// Answers may hold more, as the wire does. Contracts are made by Open.
type Contract struct {
	Document *openapi3.T

	// Where the wire and the file differ; nil is nowhere.
	Beside   func(path string) bool   // served, but not described
	Spelling func(path string) string // the path as the file writes it
	Bodiless func(status int) bool    // may come without the body that is described

	routes routers.Router
}

// Open reads the vendor's file called name, whose paths begin at base ("/v1.0") on
// any host. It returns nil where the folder of specifications is absent; under CI
// the test fails instead.
func Open(t *testing.T, name, base string) *Contract {
	t.Helper()
	project, err := projectFolder()
	if err != nil {
		t.Fatal(err)
	}
	file, err := Specification(project, name, os.Getenv("CI") != "")
	if err != nil {
		t.Fatal(err)
	}
	if file == "" {
		t.Log("the vendors' specifications are not beside the project: nothing is compared with them")
		return nil
	}
	c, err := read(file, base)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(file, base string) (*Contract, error) {
	document, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	document.Servers = openapi3.Servers{{URL: base}}
	narrow(document.Paths)
	routes, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, err
	}
	return &Contract{Document: document, routes: routes}, nil
}

// Specification returns the path of the vendor's file called name, or "" where the
// folder beside the project is absent and, without must, need not be there. The
// folder without the file is an error either way.
func Specification(project, name string, must bool) (string, error) {
	folder := filepath.Join(project, "..", "shared", "specs")
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && !must {
		return "", nil
	}
	file := filepath.Join(folder, name)
	if _, err := os.Stat(file); err != nil {
		return "", err
	}
	return file, nil
}

// projectFolder is the one above the test that holds go.work.
func projectFolder() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.work")); err == nil {
			return folder, nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("no go.work above the test")
		}
		folder = filepath.Dir(folder)
	}
}

// Value compares a JSON value, as encoding/json decodes it, with the schema of that
// name. It is for what is not an exchange of the file, such as notifications.
func (c *Contract) Value(schema string, value any) error {
	s := c.Document.Components.Schemas[schema]
	if s == nil {
		return fmt.Errorf("no schema %q", schema)
	}
	return s.Value.VisitJSON(value, append(formats(), openapi3.MultiErrors())...)
}

// Members returns, in order, the names that the schema of that name declares itself
// or by extending others; none where there is no such schema.
func (c *Contract) Members(schema string) []string {
	return slices.Sorted(maps.Keys(declared(c.Document.Components.Schemas[schema])))
}

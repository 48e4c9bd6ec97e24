package contracttest

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// phones is the contract of a small vendor of our own, so that what is shown here
// does not depend on the vendors' files.
func phones(t *testing.T) *Contract {
	t.Helper()
	c, err := read(filepath.Join("testdata", "phones.yaml"), "/v1")
	if err != nil {
		t.Fatal(err)
	}
	c.Beside = func(path string) bool { return path == "/token" }
	c.Spelling = func(path string) string { return strings.TrimSuffix(path, "()") }
	c.Bodiless = func(status int) bool { return status >= 400 }
	return c
}

// exchanged is what method, path and sent were answered with, as JSON.
func exchanged(t *testing.T, method, path, sent string, status int, answer string) Exchange {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://phones.example"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return Exchange{Request: r, Sent: []byte(sent), Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Answer: []byte(answer)}
}

func TestEachViolationIsFoundAndNothingElse(t *testing.T) {
	c := phones(t)
	for _, x := range []struct {
		name               string
		method, path, sent string
		status             int
		answer             string
		operation, want    string // want is "" where nothing is wrong
	}{
		{"a page", "GET", "/v1/phones?$select=id,name&$top=5", "", 200, `{"value":[{"name":"desk"}]}`, "GET /phones", ""},
		{"the other spelling of its path", "GET", "/v1/phones()", "", 200, `{"value":[]}`, "GET /phones", ""},
		{"an answer with more than is declared", "GET", "/v1/phones(7)", "", 200, `{"colour":"grey"}`, "GET /phones({id})", ""},
		{"a key that is a text", "GET", "/v1/phones(name='desk')", "", 200, `{"name":"desk"}`, "GET /phones(name={name})", ""},
		{"a key in escaped parentheses", "GET", "/v1/phones%287%29", "", 200, `{}`, "GET /phones({id})", ""},
		{"a GUID without a version", "GET", "/v1/phones(7)", "", 200, `{"id":"11111111-2222-3333-4444-555555555555"}`, "GET /phones({id})", ""},
		{"what is served beside the file", "POST", "/token", "x=1", 200, `none`, "POST /token", ""},
		{"a refusal without its body", "PATCH", "/v1/phones(7)", `{"ringing":true}`, 404, "", "PATCH /phones({id})", ""},

		{"an unknown path", "GET", "/v1/faxes", "", 200, `{}`, "GET /v1/faxes", "no matching operation"},
		{"an undeclared query option", "GET", "/v1/phones?$skip=5", "", 200, `{"value":[]}`, "GET /phones", `request: the query option "$skip" is not declared`},
		{"an undeclared selected property", "GET", "/v1/phones?$select=id,nmae", "", 200, `{"value":[]}`, "GET /phones", `$select names "nmae", which is not declared`},
		{"a query option out of range", "GET", "/v1/phones?$top=0", "", 200, `{"value":[]}`, "GET /phones", "request: parameter"},
		{"an undeclared member of the body", "PATCH", "/v1/phones(7)", `{"rining":true}`, 204, "", "PATCH /phones({id})", `the body names "rining", which is not declared`},
		{"a member of the wrong type", "PATCH", "/v1/phones(7)", `{"ringing":"yes"}`, 204, "", "PATCH /phones({id})", "ringing: value must be a boolean"},
		{"no body where one is required", "PATCH", "/v1/phones(7)", "", 204, "", "PATCH /phones({id})", "request: "},
		{"a body where none belongs", "GET", "/v1/phones", `{}`, 200, `{"value":[]}`, "GET /phones", "request body not allowed"},
		{"an answer without what is required", "GET", "/v1/phones", "", 200, `{}`, "GET /phones", `property "value" is missing`},
		{"an answer without a body", "GET", "/v1/phones", "", 200, "", "GET /phones", "answer: "},
		{"a refusal with the wrong body", "PATCH", "/v1/phones(7)", `{}`, 404, `{}`, "PATCH /phones({id})", `property "code" is missing`},
		{"an undeclared status", "GET", "/v1/phones", "", 202, `{"value":[]}`, "GET /phones", "status is not supported"},
		{"an id that is no GUID", "GET", "/v1/phones(7)", "", 200, `{"id":"7"}`, "GET /phones({id})", "id"},
		{"a link that leads nowhere", "GET", "/v1/phones(7)", "", 200, `{"page":"/7"}`, "GET /phones({id})", "the URI is not absolute"},
	} {
		t.Run(x.name, func(t *testing.T) {
			operation, found := c.Violations(exchanged(t, x.method, x.path, x.sent, x.status, x.answer))
			if operation != x.operation {
				t.Errorf("taken for %q, not %q", operation, x.operation)
			}
			if x.want == "" && len(found) > 0 || x.want != "" && (len(found) != 1 || !strings.Contains(found[0], x.want)) {
				t.Errorf("found %q, not %q", found, x.want)
			}
		})
	}
}

func TestAValueIsComparedWithItsSchema(t *testing.T) {
	c := phones(t)
	if err := c.Value("phone", map[string]any{"name": "desk", "page": "https://phones.example/7"}); err != nil {
		t.Error(err)
	}
	if err := c.Value("phone", map[string]any{"page": "/7"}); err == nil {
		t.Error("a relative page: no error")
	}
	if err := c.Value("fax", map[string]any{}); err == nil {
		t.Error("an unknown schema: no error")
	}
}

func TestMembersAreThoseDeclaredAndInherited(t *testing.T) {
	c := phones(t)
	if got := c.Members("phone"); !slices.Equal(got, []string{"id", "name", "page", "ringing"}) {
		t.Errorf("a phone has %q", got)
	}
	if got := c.Members("fax"); len(got) != 0 {
		t.Errorf("an unknown schema has %q", got)
	}
}

func TestWithoutSpecificationsNothingIsComparedExceptUnderCI(t *testing.T) {
	const name = "a.yaml"
	for _, x := range []struct {
		name         string
		folder, file bool // are there
		must         bool
		found, fails bool
	}{
		{"alone", false, false, false, false, false},
		{"alone under CI", false, false, true, false, true},
		{"the folder without the file", true, false, false, false, true},
		{"the folder without the file under CI", true, false, true, false, true},
		{"with the file", true, true, false, true, false},
		{"with the file under CI", true, true, true, true, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			above := t.TempDir()
			specs := filepath.Join(above, "shared", "specs")
			if x.folder {
				if err := os.MkdirAll(specs, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if x.file {
				if err := os.WriteFile(filepath.Join(specs, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := ""
			if x.found {
				want = filepath.Join(specs, name)
			}
			if got, err := Specification(filepath.Join(above, "project"), name, x.must); got != want || (err != nil) != x.fails {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

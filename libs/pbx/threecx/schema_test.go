package threecx

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx/pbxsim"
)

// What the suite asks of books runs against both halves of these: see TestConformance.
func TestWhatThePhoneSystemDescribesCountsMoreThanItsVersion(t *testing.T) {
	for name, c := range map[string]struct {
		config   pbxsim.Config
		personal bool
		deletion string
	}{
		"an older version with the newer actions": {pbxsim.Config{Version: "20.0.8", Actions: "20.0.10"}, true, deleteByID},
		"a newer version with the older actions":  {pbxsim.Config{Version: "20.0.10", Actions: "20.0.8"}, false, deleteBatch},
		"an older version":                        {pbxsim.Config{Version: "20.0.8"}, false, deleteBatch},
		"a newer version":                         {pbxsim.Config{Version: "20.0.10"}, true, deleteByID},
		"an older version without a description":  {pbxsim.Config{Version: "20.0.8", Schema: pbxsim.Missing}, false, deleteBatch},
		"a newer version without a description":   {pbxsim.Config{Version: "20.0.10", Schema: pbxsim.Missing}, true, deleteByID},
		"a description that is not for us":        {pbxsim.Config{Version: "20.0.8", Schema: pbxsim.Forbidden}, false, deleteBatch},
		"a version that is not understood":        {pbxsim.Config{Version: "twenty", Actions: "20.0.8"}, false, deleteBatch},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Extensions = 1
			sim := start(t, c.config)
			d := open(t, sim)
			if got := d.Capabilities(); got.Phonebook.Personal != c.personal || got.Version != c.config.Version || d.actions.deletion != c.deletion {
				t.Errorf("version %q: personal books %v, deleted by %q", got.Version, got.Phonebook.Personal, d.actions.deletion)
			}
			if _, err := d.CreateContact(t.Context(), "200", directory.Contact{LastName: "Abel"}); c.personal != (err == nil) {
				t.Errorf("an entry of a person's: %v", err)
			}
			before := sim.Stats().Requests
			failed, err := d.DeleteContacts(t.Context(), "", []string{sim.Enter("", directory.Contact{LastName: "Abel"})})
			if n := sim.Stats().Requests - before; err != nil || len(failed) != 0 || n != 1 {
				t.Errorf("failed %v, %v after %d requests", failed, err, n)
			}
		})
	}
}

func TestTheDescriptionIsAskedForOnce(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	g, d := through(t, sim, nil)
	live(t, sim, d)
	asked := 0
	for _, x := range g.Passed() {
		if x.Request.URL.Path == root+schemaPath {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("it was asked for %d times", asked)
	}
}

func TestADescriptionThatIsNotUnderstoodIsNone(t *testing.T) {
	whole := "paths:\n  /Users:\n  /Contacts:\n  /Contacts/Pbx.BatchContactsDelete:\ncomponents:\n"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		taken  bool
	}{
		"a description": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(whole)) }, true},
		"a page for people": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("<html><body>It works!</body></html>"))
		}, false},
		"nothing":        {func(http.ResponseWriter, *http.Request) {}, false},
		"half of it":     {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(whole[:len(whole)/2])) }, false},
		"another answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, false},
		"one that was cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "999")
			w.Write([]byte(whole))
		}, false},
		"one without end": {func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(whole))
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat("#\n", 32<<10))); err != nil {
					return
				}
			}
		}, false},
		"one at another address": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other.yaml", http.StatusFound)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := scripted(t, root+schemaPath, c.answer)
			d.version = "20.0.10"
			want := actionsSince(d.version)
			if c.taken {
				want = actions{deletion: deleteBatch}
			}
			if got := d.findActions(t.Context()); got != want {
				t.Errorf("found %+v, want %+v", got, want)
			}
		})
	}
}

func TestWithoutAnActionForItEntriesAreDeletedOneByOne(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	d.actions = actionsOf(map[string]bool{"/Users": true, "/Contacts": true})
	ids := []string{sim.Enter("", directory.Contact{LastName: "Abel"}), sim.Enter("", directory.Contact{LastName: "Berg"}), "77"}
	before := sim.Stats().Requests
	failed, err := d.DeleteContacts(t.Context(), "", ids)
	if n := sim.Stats().Requests - before; err != nil || n != 3 || len(failed) != 1 || fault.KindOf(failed["77"]) != fault.NotFound || len(sim.Book("")) != 0 {
		t.Errorf("failed %v, %v after %d requests", failed, err, n)
	}
}

func TestTheVendorsOwnDescriptionIsUnderstood(t *testing.T) {
	if vendor(t) == nil {
		return
	}
	file, err := contracttest.Specification("../../..", "3cx-xapi-subset.yaml", true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	paths := parseSchema(text)
	if got, want := actionsOf(paths), actionsSince("20.0.10"); got != want || len(paths) < 40 {
		t.Errorf("found %+v in %d paths, want %+v", got, len(paths), want)
	}
}

func TestListingsAskForAHundredAtATime(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 250})
	g, d := through(t, sim, nil)
	begun := len(g.Passed())
	if err := d.Extensions(t.Context(), func(directory.Extension) error { return nil }); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, x := range g.Passed()[begun:] {
		if top := x.Request.URL.Query().Get("$top"); top != "100" {
			t.Errorf("%s asks for %q", x.Request.URL.Path, top)
		}
		if x.Request.URL.Path == root+"/Users" {
			pages++
		}
	}
	if pages != 3 {
		t.Errorf("250 users were %d pages", pages)
	}
}

func FuzzSchema(f *testing.F) {
	for _, seed := range []string{
		"openapi: 3.0.4\npaths:\n  /Users:\n    get:\n  /Contacts:\n  '/Contacts/Pbx.GetContactsByNumber(number={number})':\ncomponents:\n",
		"paths:\r\n  /Users:\r\n  /Contacts:\r\ncomponents:\r\n", "paths:\n  /Users:\n", "<html>", "", "paths:\n  /Users: {}\n\tx\ncomponents:",
		"components:\n  /Users:\npaths:\n", "\xff\xfep\x00", "paths:\n  /Users:\n  /Contacts:\n  /(:\n  /\xff:\nx",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		paths := parseSchema(text)
		if paths == nil {
			return
		}
		if !paths["/Users"] || !paths["/Contacts"] || len(paths) > len(text) {
			t.Errorf("%d paths of %d bytes", len(paths), len(text))
		}
		for name := range paths {
			if !strings.HasPrefix(name, "/") || strings.ContainsAny(name, "(\n") || utf8.ValidString(string(text)) && !utf8.ValidString(name) {
				t.Errorf("a path %q", name)
			}
		}
	})
}

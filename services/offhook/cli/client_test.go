package cli

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestTheDevFileIsPrivateAndRemovedOnlyByWhoWroteIt(t *testing.T) {
	home(t)
	if _, err := ReadDevFile(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before anything: %v", err)
	}
	first, second := DevFile{API: "http://127.0.0.1:1", Sim: "http://127.0.0.1:2"}, DevFile{API: "http://127.0.0.1:3", Sim: "http://127.0.0.1:4"}
	for _, f := range []DevFile{first, second} {
		if err := WriteDevFile(f); err != nil {
			t.Fatal(err)
		}
	}
	path, err := devFilePath()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := RemoveDevFile(first); err != nil {
		t.Fatal(err)
	}
	if f, err := ReadDevFile(); err != nil || f != second {
		t.Fatalf("after the first one ended: %+v, %v", f, err)
	}
	if err := RemoveDevFile(second); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDevFile(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("after the second one ended: %v", err)
	}
}

func TestAnAddressComesFromFlagThenEnvironmentThenDevFileThenDefault(t *testing.T) {
	home(t)
	ask := func(flag string) string {
		t.Helper()
		c, err := apiClient(flag)
		if err != nil {
			t.Fatal(err)
		}
		return c.base
	}
	if got := ask(""); got != defaultAPI {
		t.Errorf("default: %s", got)
	}
	if err := WriteDevFile(DevFile{API: "http://127.0.0.1:1", Sim: "http://127.0.0.1:2"}); err != nil {
		t.Fatal(err)
	}
	if got := ask(""); got != "http://127.0.0.1:1" {
		t.Errorf("dev file: %s", got)
	}
	t.Setenv("OFFHOOK_API", "http://127.0.0.1:5/")
	if got := ask(""); got != "http://127.0.0.1:5" {
		t.Errorf("environment: %s", got)
	}
	if got := ask("https://example.com"); got != "https://example.com" {
		t.Errorf("flag: %s", got)
	}
	if c, err := simClient(""); err != nil || c.base != "http://127.0.0.1:2" {
		t.Errorf("simulator: %+v, %v", c, err)
	}
}

func TestWhatIsNoControlAPIIsSaidToBeNone(t *testing.T) {
	home(t)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"a page":              {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) }, "OH-CLI-ANSWER"},
		"an error of its own": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "teapot", http.StatusTeapot) }, "418"},
		"a problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(409)
			_, _ = w.Write([]byte(`{"code":"OH-API-X","what":"w","where":"here","fix":"f"}`))
		}, "OH-API-X w\n  where: here\n  fix:   f\n"},
		"a simulator's error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":"no such thing"}`))
		}, "no such thing"},
		"the other one's error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":{"code":"c","message":"no such user"}}`))
		}, "no such user"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			for _, line := range []string{"offhook status --api ", "offhook watch --api "} {
				_, stderr, code := command(t, line+server.URL)
				if code != exitFailed || !strings.Contains(stderr, c.says) {
					t.Errorf("%s: exit %d, %s; want it to say %s", line, code, stderr, c.says)
				}
			}
		})
	}
}

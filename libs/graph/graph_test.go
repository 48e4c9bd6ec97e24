package graph_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

func user(n int) identity.User {
	return identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012x", n))
}

func TestAPresenceResourceNamesUpTo650DistinctUsers(t *testing.T) {
	many := make([]identity.User, graph.MaxPresences+1)
	for i := range many {
		many[i] = user(i)
	}
	tests := []struct {
		name    string
		users   []identity.User
		want    string
		refused string
	}{
		{"one user", many[:1], "communications/presences?$filter=id in ('00000000-0000-0000-0000-000000000000')", ""},
		{"two users", many[1:3], "communications/presences?$filter=id in ('00000000-0000-0000-0000-000000000001','00000000-0000-0000-0000-000000000002')", ""},
		{"nobody", nil, "", "1 to 650"},
		{"one too many", many, "", "1 to 650"},
		{"the same twice", []identity.User{user(7), user(7)}, "", "twice"},
		{"an id that would end the quote", []identity.User{"') or ('x"}, "", "object id"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := graph.PresenceResource(test.users)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatalf("error %v, want one that says %q", err, test.refused)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	if full, err := graph.PresenceResource(many[:graph.MaxPresences]); err != nil || strings.Count(full, "'") != 2*graph.MaxPresences {
		t.Errorf("650 users: %v", err)
	}
}

func TestALinkIsFollowedOnlyToTheCloudsOwnGraphHost(t *testing.T) {
	global, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	simulated, err := global.At("", "https://127.0.0.1:8443/")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		cloud graph.Cloud
		link  graph.Cursor
		ok    bool
	}{
		{"its own host", global, "https://graph.microsoft.com/v1.0/users/delta?$skiptoken=x", true},
		{"its own host in capitals", global, "https://Graph.Microsoft.com/v1.0/users/delta", true},
		{"its own host with the port written out", global, "https://graph.microsoft.com:443/v1.0/users/delta", true},
		{"a simulator's port", simulated, "https://127.0.0.1:8443/v1.0/users/delta", true},
		{"another port of the simulator's host", simulated, "https://127.0.0.1:8444/v1.0/users/delta", false},
		{"Microsoft's host for a simulator", simulated, "https://graph.microsoft.com/v1.0/users/delta", false},
		{"another cloud", global, "https://graph.microsoft.us/v1.0/users/delta", false},
		{"another host with the name in front", global, "https://graph.microsoft.com.evil.example/v1.0", false},
		{"the name as credentials of another host", global, "https://graph.microsoft.com@evil.example/v1.0", false},
		{"credentials for the right host", global, "https://a:b@graph.microsoft.com/v1.0", false},
		{"no encryption", global, "http://graph.microsoft.com/v1.0/users/delta", false},
		{"a path alone", global, "/v1.0/users/delta", false},
		{"a scheme-relative link", global, "//evil.example/v1.0", false},
		{"not a URL", global, "https://graph.microsoft.com/%zz", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.cloud.CheckLink(test.link); (err == nil) != test.ok {
				t.Errorf("CheckLink(%q) = %v, want ok=%v", test.link, err, test.ok)
			}
		})
	}
}

func TestEndpointsOfACloudCanBeReplacedByHTTPSHostsOnly(t *testing.T) {
	cloud, err := graph.CloudNamed("")
	if err != nil || cloud.Name != "global" {
		t.Fatalf("the empty name is %q, %v; want global", cloud.Name, err)
	}
	for _, bad := range []string{"http://login.example", "login.example", "https://", "https://h/path", "https://h?q", "https://u@h", "https://h#f"} {
		if _, err := cloud.At(bad, ""); err == nil {
			t.Errorf("login endpoint %q is accepted", bad)
		}
		if _, err := cloud.At("", bad); err == nil {
			t.Errorf("graph endpoint %q is accepted", bad)
		}
	}
	moved, err := cloud.At("https://login.example/", "https://graph.example:8443")
	if err != nil || moved.Login != "https://login.example" || moved.Graph != "https://graph.example:8443" {
		t.Errorf("moved to %q and %q, %v", moved.Login, moved.Graph, err)
	}
	if moved.Scope() != "https://graph.microsoft.com/.default" {
		t.Errorf("scope %q: a proxy's tokens are still Microsoft's", moved.Scope())
	}
	if _, err := graph.CloudNamed("germany"); err == nil {
		t.Error("an unknown cloud is accepted")
	}
}

func TestACloudSaysWhatItLacks(t *testing.T) {
	tests := []struct {
		cloud   string
		feature graph.Feature
		lacks   bool
	}{
		{"global", graph.FeaturePresence, false},
		{"global", graph.FeatureNotifications, false},
		{"usgov", graph.FeaturePresence, false},
		{"usgov", graph.FeatureNotifications, true},
		{"dod", graph.FeatureNotifications, true},
		{"dod", graph.FeatureTranslateIDs, true},
		{"china", graph.FeaturePresence, true},
		{"china", graph.FeatureContactDelta, true},
		{"china", graph.FeatureTranslateIDs, false},
	}
	for _, test := range tests {
		cloud, err := graph.CloudNamed(test.cloud)
		if err != nil {
			t.Fatal(err)
		}
		if reason := cloud.Lacks(test.feature); (reason != "") != test.lacks {
			t.Errorf("%s lacks %s: %q, want lacking=%v", test.cloud, test.feature, reason, test.lacks)
		}
	}
}

func TestARefreshFileIsReplacedWholeAndPrivate(t *testing.T) {
	dir := t.TempDir()
	file := graph.RefreshFile(filepath.Join(dir, "lane.token"))
	if err := os.WriteFile(string(file), []byte("first\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, err := file.Load(t.Context())
	if err != nil || first.Reveal() != "first" {
		t.Fatalf("loaded %q, %v", first.Reveal(), err)
	}
	if err := file.Save(t.Context(), secret.NewValue("second")); err != nil {
		t.Fatal(err)
	}
	second, err := file.Load(t.Context())
	if err != nil || second.Reveal() != "second" {
		t.Errorf("loaded %q after saving, %v", second.Reveal(), err)
	}
	info, err := os.Stat(string(file))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600 although the old file was wider", info.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left in the folder, %v; want 1", len(left), err)
	}
}

func TestASaveThatFailsKeepsTheOldRefreshToken(t *testing.T) {
	dir := t.TempDir()
	// A folder in the file's place makes the rename fail after the new file was written.
	blocked := graph.RefreshFile(filepath.Join(dir, "lane.token"))
	if err := os.MkdirAll(filepath.Join(string(blocked), "kept"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := blocked.Save(t.Context(), secret.NewValue("new")); err == nil {
		t.Fatal("a folder was replaced by a token")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d entries are left, %v; want the old one alone", len(left), err)
	}
}

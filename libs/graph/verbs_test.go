package graph_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

func TestAnEventResourceIsKnownAgainInEverySpelling(t *testing.T) {
	resource, err := graph.EventResource(user(10))
	if err != nil || resource != "users/00000000-0000-0000-0000-00000000000a/events" {
		t.Fatalf("%q, %v", resource, err)
	}
	if _, err := graph.EventResource("a/../b"); err == nil {
		t.Error("a path is taken for a user")
	}
	for spelling, want := range map[string]identity.User{
		resource:                  user(10),
		"/" + resource:            user(10),
		strings.ToUpper(resource): user(10),
		"Users('00000000-0000-0000-0000-00000000000A')/Events": user(10),
		resource + "?$select=id":                               user(10),
		resource + "/1":                                        "",
		"users/anna@contoso.example/events":                    "",
		"users/00000000-0000-0000-0000-00000000000a/messages":  "",
		"communications/presences/" + string(user(10)):         "",
		"me/events": "",
		"":          "",
	} {
		if got, ok := graph.EventUser(spelling); ok != (want != "") || ok && got != want {
			t.Errorf("%q is about %q, %v; want %q", spelling, got, ok, want)
		}
	}
}

func TestTheResourceOfAllUsersIsKnownAgain(t *testing.T) {
	for spelling, want := range map[string]bool{
		graph.UsersResource: true, "/users": true, "Users": true, "users/": true, "users/00000000-0000-0000-0000-00000000000a": false, "users/x/events": false, "": false,
	} {
		if got := graph.IsUsersResource(spelling); got != want {
			t.Errorf("%q: %v", spelling, got)
		}
	}
}

func TestOnlyDocumentedPairsAreWritten(t *testing.T) {
	session := map[graph.SessionPresence]bool{
		"Available/Available": true, "Busy/InACall": true, "Busy/InAConferenceCall": true, "Away/Away": true, "DoNotDisturb/Presenting": true,
		"Busy/Busy": false, "DoNotDisturb/DoNotDisturb": false, "Busy/InAMeeting": false, "busy/inacall": false, "Busy": false, "": false,
	}
	for pair, want := range session {
		availability, activity, ok := pair.Pair()
		if ok != want || ok && availability+"/"+activity != string(pair) {
			t.Errorf("a session shows %q: %q %q %v, want %v", pair, availability, activity, ok, want)
		}
	}
	preferred := map[graph.PreferredPresence]bool{
		"Available/Available": true, "Busy/Busy": true, "DoNotDisturb/DoNotDisturb": true, "BeRightBack/BeRightBack": true, "Away/Away": true,
		"Offline/OffWork": true, "Busy/InACall": false, "Offline/Offline": false, "": false,
	}
	for pair, want := range preferred {
		availability, activity, ok := pair.Pair()
		if ok != want || ok && availability+"/"+activity != string(pair) {
			t.Errorf("pinned to %q: %q %q %v, want %v", pair, availability, activity, ok, want)
		}
	}
}

func TestACloudsFeaturesAreListedWithReasons(t *testing.T) {
	lacking := map[string][]graph.Feature{
		"global": nil,
		"usgov":  {graph.FeatureNotifications, graph.FeatureTranslateIDs},
		"dod":    {graph.FeatureNotifications, graph.FeatureTranslateIDs},
		"china":  {graph.FeaturePresence, graph.FeatureNotifications, graph.FeatureContactDelta},
	}
	for name, want := range lacking {
		cloud, err := graph.CloudNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		var missing []graph.Feature
		for _, f := range graph.Features(cloud) {
			if f.Offered != (f.Reason == "") || f.Reason != cloud.Lacks(f.Feature) {
				t.Errorf("%s: %+v", name, f)
			}
			if !f.Offered {
				missing = append(missing, f.Feature)
			}
		}
		if len(graph.Features(cloud)) != 7 || strings.Join(words(missing), ",") != strings.Join(words(want), ",") {
			t.Errorf("%s lacks %q, want %q", name, missing, want)
		}
	}
}

func words(features []graph.Feature) (all []string) {
	for _, f := range features {
		all = append(all, string(f))
	}
	return all
}

func TestARefreshTokenThatACallerKeepsIsReportedBeforeItIsUsed(t *testing.T) {
	var saved []string
	var broken error
	store := graph.RefreshKept(secret.NewValue("first"), func(_ context.Context, refresh secret.Value) error {
		saved = append(saved, refresh.Reveal())
		return broken
	})
	expect := func(want string) {
		t.Helper()
		if got, err := store.Load(t.Context()); err != nil || got.Reveal() != want {
			t.Errorf("%q, %v; want %q", got.Reveal(), err, want)
		}
	}
	expect("first")
	if err := store.Save(t.Context(), secret.NewValue("second")); err != nil {
		t.Fatal(err)
	}
	expect("second")
	broken = errors.New("no room")
	if err := store.Save(t.Context(), secret.NewValue("third")); !errors.Is(err, broken) {
		t.Errorf("%v, want the caller's error", err)
	}
	expect("second")
	if strings.Join(saved, " ") != "second third" {
		t.Errorf("reported %q", saved)
	}
	if _, err := graph.RefreshKept(secret.Value{}, nil).Load(t.Context()); err == nil {
		t.Error("no token is a token")
	}
}

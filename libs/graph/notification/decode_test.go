package notification_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
)

func TestADocumentedPostIsTakenApart(t *testing.T) {
	post := `{"value":[
	 {"subscriptionId":"s1","clientState":"c1","changeType":"updated","tenantId":"11111111-1111-1111-1111-11111111111A",
	  "resource":"communications/presences/44444444-4444-4444-4444-444444444444","subscriptionExpirationDateTime":"2026-10-01T12:00:00.5Z",
	  "resourceData":{"@odata.id":"users/x/presence","@odata.type":"#microsoft.graph.presence","id":"x"},"organizationId":"o","future":{"a":[1]}},
	 {"subscriptionId":"s2","clientState":"c2","tenantId":"11111111-1111-1111-1111-111111111111","lifecycleEvent":"reauthorizationRequired",
	  "subscriptionExpirationDateTime":"2026-10-01T14:00:00+02:00"},
	 {"subscriptionId":"s3","clientState":"c3","changeType":"created","tenantId":"11111111-1111-1111-1111-111111111111",
	  "resource":"Users('55555555-5555-5555-5555-555555555555')/Events('AAMkAD=')","resourceData":{"@odata.etag":"W/\"x\""}}
	],"validationTokens":["t1","t2"],"@odata.context":"x"}`
	batch, err := notification.Decode([]byte(post))
	if err != nil || len(batch.Items) != 3 || len(batch.Bad) != 0 || len(batch.Tokens) != 2 {
		t.Fatalf("%d items, %v bad, %d tokens, %v", len(batch.Items), batch.Bad, len(batch.Tokens), err)
	}
	noon := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	change, cycle, event := batch.Items[0], batch.Items[1], batch.Items[2]
	if change.Subscription != "s1" || change.Directory != "11111111-1111-1111-1111-11111111111a" || change.Change != "updated" ||
		change.Resource != (notification.Resource{Kind: notification.Presence, User: anna}) || !change.Expires.Equal(noon.Add(500*time.Millisecond)) {
		t.Errorf("the presence change is %+v", change)
	}
	if cycle.Lifecycle != notification.ReauthorizationRequired || cycle.Change != "" || !cycle.Expires.Equal(noon) {
		t.Errorf("the lifecycle event is %+v", cycle)
	}
	if event.Resource != (notification.Resource{Kind: notification.Event, User: ben, ID: "AAMkAD="}) {
		t.Errorf("the event is %+v", event.Resource)
	}
	again, err := notification.DecodeItem(change.Raw)
	if err != nil || again.Resource != change.Resource || again.State.Reveal() != change.State.Reveal() {
		t.Errorf("an item read again from its own JSON is %+v, %v", again, err)
	}
	if text := fmt.Sprintf("%+v %v", change.State, change.State); strings.Contains(text, "c1") {
		t.Error("clientState prints")
	}
}

func TestOneBadItemNeverCostsItsBatch(t *testing.T) {
	base := `"subscriptionId":"s","clientState":"very-secret","changeType":"updated","tenantId":"` + directory + `","resource":"communications/presences/` + anna + `"`
	tests := []struct{ name, item, says string }{
		{"a number", `7`, "item is a number"},
		{"a list", `[]`, "item is a array"},
		{"null", `null`, "null"},
		{"an empty object", `{}`, "subscriptionId"},
		{"a clientState that is a number", `{` + base + `,"clientState":7}`, "clientState is a number"},
		{"no subscription", `{"clientState":"c","changeType":"updated","tenantId":"` + directory + `"}`, "subscriptionId"},
		{"a tenant that is a name", `{` + base + `,"tenantId":"contoso"}`, "tenantId"},
		{"a resource elsewhere", `{` + base + `,"resource":"https://evil.example/presences/` + anna + `"}`, "resource"},
		{"a resource of nobody", `{` + base + `,"resource":"communications/presences/anna"}`, "resource"},
		{"an expiry in words", `{` + base + `,"subscriptionExpirationDateTime":"soon"}`, "subscriptionExpirationDateTime"},
		{"neither change nor lifecycle", `{"subscriptionId":"s","tenantId":"` + directory + `"}`, "neither"},
		{"content that is a text", `{` + base + `,"encryptedContent":"x"}`, "encryptedContent"},
		{"content without a certificate", `{` + base + `,"encryptedContent":{"data":"AA=="}}`, "encryptionCertificateId"},
		{"content that is not base64", `{` + base + `,"encryptedContent":{"encryptionCertificateId":"k","data":"*"}}`, "encryptedContent.data"},
		{"a clientState of a kilobyte and more", `{` + base + `,"clientState":"` + strings.Repeat("x", 1025) + `"}`, "clientState"},
		{"a changeType of a kilobyte and more", `{` + base + `,"changeType":"` + strings.Repeat("x", 1025) + `"}`, "changeType"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			batch, err := notification.Decode([]byte(`{"value":[{` + base + `},` + test.item + `,{` + base + `}]}`))
			if err != nil || len(batch.Items) != 2 || len(batch.Bad) != 1 {
				t.Fatalf("%d items, bad %v, %v; want 2 and 1", len(batch.Items), batch.Bad, err)
			}
			if bad := batch.Bad[0]; bad.Index != 1 || !strings.Contains(bad.Err.Error(), test.says) || strings.Contains(bad.Err.Error(), "very-secret") {
				t.Errorf("bad item %d: %v; want 1 saying %q", bad.Index, bad.Err, test.says)
			}
		})
	}
}

func TestAPostThatIsNoCollectionIsRefusedWhole(t *testing.T) {
	tests := []struct{ name, body, says string }{
		{"nothing", ``, "no notification collection"},
		{"not JSON", `<html>`, "no notification collection"},
		{"cut off", `{"value":[{"subscriptionId":"s"`, "no notification collection"},
		{"something after it", `{"value":[]} {}`, "no notification collection"},
		{"a list", `[]`, "no notification collection"},
		{"no value", `{}`, "no value"},
		{"value null", `{"value":null}`, "not a list"},
		{"value an object", `{"value":{}}`, "not a list"},
		{"an item too many", `{"value":[` + strings.Repeat("0,", notification.MaxItems) + `0]}`, "more than 1000"},
		{"a byte too many", `{"value":[]}` + strings.Repeat(" ", notification.MaxBody), "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := notification.Decode([]byte(test.body)); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
	full, err := notification.Decode([]byte(`{"value":[0` + strings.Repeat(",0", notification.MaxItems-1) + `]}`))
	if err != nil || len(full.Bad) != notification.MaxItems {
		t.Errorf("a full list of bad items: %d bad, %v", len(full.Bad), err)
	}
}

func TestTokensThatCannotBeReadCountAsNone(t *testing.T) {
	for _, tokens := range []string{`null`, `"x"`, `[7]`, `{}`} {
		item := encode(t, presenceItem(anna, nil))
		batch, err := notification.Decode([]byte(`{"value":[` + string(item) + `],"validationTokens":` + tokens + `}`))
		if err != nil || len(batch.Items) != 1 || len(batch.Tokens) != 0 {
			t.Errorf("tokens %s: %d items, %d tokens, %v", tokens, len(batch.Items), len(batch.Tokens), err)
		}
	}
}

func TestAResourceIsReadInEveryFormThatGraphWrites(t *testing.T) {
	upper := strings.ToUpper("abcdefab-4444-4444-4444-444444444444")
	lower := identity.User(strings.ToLower(upper))
	tests := []struct {
		path string
		want notification.Resource
	}{
		{"communications/presences/" + upper, notification.Resource{Kind: notification.Presence, User: lower}},
		{"/Communications/Presences/" + upper, notification.Resource{Kind: notification.Presence, User: lower}},
		{"communications/presences('" + upper + "')", notification.Resource{Kind: notification.Presence, User: lower}},
		{"users/" + upper + "/presence", notification.Resource{Kind: notification.Presence, User: lower}},
		{"Users('" + upper + "')/Presence", notification.Resource{Kind: notification.Presence, User: lower}},
		{"Users/" + upper + "/Events/AAbb-_=", notification.Resource{Kind: notification.Event, User: lower, ID: "AAbb-_="}},
		{"users('" + upper + "')/events('AAbb')", notification.Resource{Kind: notification.Event, User: lower, ID: "AAbb"}},
		{"Users/" + upper, notification.Resource{Kind: notification.User, User: lower}},
		{"users('" + upper + "')", notification.Resource{Kind: notification.User, User: lower}},
		{"users", notification.Resource{}},
		{"communications/presences?$filter=id in ('x')", notification.Resource{}},
		{"communications/presences/" + upper + "/../x", notification.Resource{}},
		{"users/" + upper + "/presence/x", notification.Resource{}},
		{"users/anna@contoso.example/presence", notification.Resource{}},
		{"communications/presences/------------------------------------", notification.Resource{}},
		{"", notification.Resource{}},
	}
	for _, test := range tests {
		got, err := notification.ParseResource(test.path)
		if got != test.want || (err == nil) != (test.want != notification.Resource{}) {
			t.Errorf("%q is %+v, %v; want %+v", test.path, got, err, test.want)
		}
	}
}

func TestAnItemIsAuthenticOnlyWithItsSubscriptionsSecret(t *testing.T) {
	hash := secret.Hash("state-1")
	for state, want := range map[string]bool{"state-1": true, "state-2": false, "state-11": false, "": false, hash: false} {
		item := notification.Item{State: secret.NewValue(state)}
		if got := item.Authentic(hash); got != want {
			t.Errorf("clientState %q is authentic: %v, want %v", state, got, want)
		}
	}
	if (notification.Item{}).Authentic("") {
		t.Error("no secret is authentic against no hash")
	}
}

func TestAHandshakeIsEchoedOnlyIfItCannotBeMarkup(t *testing.T) {
	tests := []struct {
		name, token string
		ok          bool
	}{
		{"what Graph sends", "Validation: Testing client application reachability for subscription Request-Id: 0b1-a+b/c=%~", true},
		{"as long as it may be", strings.Repeat("x", notification.MaxHandshake), true},
		{"a byte longer", strings.Repeat("x", notification.MaxHandshake+1), false},
		{"empty", "", false},
		{"a tag", "a<b", false},
		{"the end of one", "a>b", false},
		{"a double quote", `a"b`, false},
		{"a single quote", "a'b", false},
		{"an ampersand", "a&b", false},
		{"a line break", "a\nb", false},
		{"a NUL", "a\x00b", false},
		{"DEL", "a\x7fb", false},
		{"a C1 control", "a\u0085b", false},
		{"not UTF-8", "a\xffb", false},
	}
	for _, test := range tests {
		if err := notification.CheckHandshake(test.token); (err == nil) != test.ok {
			t.Errorf("%s: %v, want ok=%v", test.name, err, test.ok)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"value":[{"subscriptionId":"s","clientState":"c","changeType":"updated","tenantId":"` + directory + `","resource":"communications/presences/` + anna + `"}],"validationTokens":["t"]}`))
	f.Add([]byte(`{"value":[{"subscriptionId":"s","tenantId":"` + directory + `","lifecycleEvent":"missed","subscriptionExpirationDateTime":"2026-10-01T12:00:00+00:00"}]}`))
	f.Add([]byte(`{"value":[{"encryptedContent":{"data":"AAAA","dataKey":"AAAA","dataSignature":"AAAA","encryptionCertificateId":"k"}},7,null]}`))
	f.Add([]byte(`{"value":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := notification.Decode(body)
		if err != nil {
			if len(batch.Items)+len(batch.Bad)+len(batch.Tokens) != 0 {
				t.Fatal("a refused post gives items")
			}
			return
		}
		if n := len(batch.Items) + len(batch.Bad); n > notification.MaxItems {
			t.Fatalf("%d items", n)
		}
		for _, item := range batch.Items {
			again, err := notification.DecodeItem(item.Raw)
			if err != nil || again.Subscription != item.Subscription || again.Resource != item.Resource || !bytes.Equal(again.Raw, item.Raw) {
				t.Fatalf("%+v reads back as %+v, %v", item, again, err)
			}
			if item.Lifecycle == "" && item.Resource.User == "" {
				t.Fatalf("a change of nobody: %+v", item)
			}
		}
	})
}

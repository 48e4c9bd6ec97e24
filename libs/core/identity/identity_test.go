package identity_test

import (
	"strings"
	"testing"

	"offhook.dev/libs/core/identity"
)

const guid = "0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"

func TestTenantsAndSystemsAreSlugs(t *testing.T) {
	for word, good := range map[string]bool{
		"contoso": true, "hq": true, "a": true, "3cx-berlin": true, strings.Repeat("a", 32): true,
		"": false, "-hq": false, "Contoso": false, "a.b": false, "a_b": false, "a b": false, "ü": false, "a\n": false,
		"hq/204": false, "*": false, ">": false, strings.Repeat("a", 33): false,
	} {
		tenant, err := identity.ParseTenant(word)
		if (err == nil) != good || good && string(tenant) != word {
			t.Errorf("tenant %q: %q, %v", word, tenant, err)
		}
		system, err := identity.ParseSystem(word)
		if (err == nil) != good || good && string(system) != word {
			t.Errorf("system %q: %q, %v", word, system, err)
		}
	}
}

func TestAUserAndAGroupAreObjectIdsInLowerCase(t *testing.T) {
	for word, good := range map[string]bool{
		guid: true, strings.ToUpper(guid): true,
		"": false, "anna@contoso.com": false, "{" + guid + "}": false, strings.ReplaceAll(guid, "-", ""): false, guid + "0": false, guid + "\n": false,
		"ge5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11": false,
	} {
		user, err := identity.ParseUser(word)
		if (err == nil) != good || good && user != guid {
			t.Errorf("user %q: %q, %v", word, user, err)
		}
		group, err := identity.ParseGroup(word)
		if (err == nil) != good || good && group != guid {
			t.Errorf("group %q: %q, %v", word, group, err)
		}
	}
}

func TestExtensions(t *testing.T) {
	for word, good := range map[string]bool{
		"204": true, "*98": true, "#1": true, "+49301234": true, "anna.b-c_d": true, strings.Repeat("1", 64): true,
		"": false, "20 4": false, "204/1": false, "204@hq": false, "ü": false, "204\n": false, strings.Repeat("1", 65): false,
	} {
		ext, err := identity.ParseExtension(word)
		if (err == nil) != good || good && string(ext) != word {
			t.Errorf("extension %q: %q, %v", word, ext, err)
		}
	}
}

func TestARefusalNamesWhatWasRefused(t *testing.T) {
	const bad = "No Such Thing"
	for what, parse := range map[string]func() error{
		"tenant":    func() error { _, err := identity.ParseTenant(bad); return err },
		"system":    func() error { _, err := identity.ParseSystem(bad); return err },
		"user":      func() error { _, err := identity.ParseUser(bad); return err },
		"extension": func() error { _, err := identity.ParseExtension(bad); return err },
		"group":     func() error { _, err := identity.ParseGroup(bad); return err },
	} {
		if err := parse(); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestForPeople(t *testing.T) {
	if got := (identity.Line{System: "hq", Extension: "204"}).String(); got != "hq/204" {
		t.Errorf("a line is written %q", got)
	}
	if got := (identity.Person{Tenant: "contoso", User: guid}).String(); got != "contoso/"+guid {
		t.Errorf("a person is written %q", got)
	}
}

// What has been parsed is parsed again unchanged, whatever came in.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"contoso", "3CX", guid, strings.ToUpper(guid), "*98", "", "ſ", "K"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if user, err := identity.ParseUser(s); err == nil {
			if again, err := identity.ParseUser(string(user)); err != nil || again != user {
				t.Errorf("user %q, then %q, %v", user, again, err)
			}
		}
		if ext, err := identity.ParseExtension(s); err == nil && string(ext) != s {
			t.Errorf("extension %q became %q", s, ext)
		}
		if tenant, err := identity.ParseTenant(s); err == nil && string(tenant) != s {
			t.Errorf("tenant %q became %q", s, tenant)
		}
	})
}

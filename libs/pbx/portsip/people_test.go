package portsip

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

const (
	ada  identity.User = "0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"
	bela identity.User = "1e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"
)

func change(to directory.Extension, fields ...directory.Field) directory.Update {
	return directory.Update{Fields: fields, To: to}
}

// A change of one field loses nothing, whatever the phone system does with members that
// are not named.
func TestAChangeOfAUserCostsNothingElse(t *testing.T) {
	for name, config := range map[string]portsipsim.Config{"lost": {Replace: true, Minor: 3, Retrieval: true}, "kept": {}} {
		t.Run("what is not named is "+name, func(t *testing.T) {
			config.Extensions = 1
			sim := start(t, config)
			d := open(t, configFor(sim))
			want := sim.Fields("200")
			want["email"], want["custom_options"] = "ada@contoso.example", `{"offhook_user":"`+string(ada)+`","skin":"dark"}`
			to := directory.Extension{Marker: ada, Fields: directory.Fields{Mail: "ada@contoso.example"}}
			for range 2 {
				if err := d.UpdateExtension(t.Context(), "200", change(to, directory.Mail)); err != nil {
					t.Fatal(err)
				}
			}
			if got := sim.Fields("200"); !reflect.DeepEqual(got, want) {
				t.Errorf("it is %v and should be %v", got, want)
			}
		})
	}
}

func TestAMarkerNeedsAPlaceThatIsNobodysElse(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "{}": true, " ": true, `{"a":[1,{"b":null}]}`: true, "null": true, "text": false, "[1]": false, `"x"`: false, "{": false} {
		sim := start(t, portsipsim.Config{Extensions: 1})
		d := open(t, configFor(sim))
		sim.SetField("200", "custom_options", text)
		err := d.UpdateExtension(t.Context(), "200", change(directory.Extension{Marker: ada}))
		if (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
		if e, readErr := d.Extension(t.Context(), "200"); readErr != nil || (e.Marker == ada) != ok {
			t.Errorf("%q: marker %q, %v", text, e.Marker, readErr)
		}
		if now := sim.Fields("200")["custom_options"]; !ok && now != text {
			t.Errorf("%q is now %q", text, now)
		}
	}
}

func TestADepartmentIsAGroupAndMovesLeaveOthersAlone(t *testing.T) {
	for name, c := range map[string]struct {
		before     []string // groups
		text       string   // the member department
		department string
		after      []string
	}{
		"from none to one":                      {nil, "", "Sales", []string{"Sales"}},
		"others stay":                           {[]string{"Board"}, "", "Sales", []string{"Board", "Sales"}},
		"from one to another":                   {[]string{"Board", "Dairy"}, "Dairy", "Sales", []string{"Board", "Sales"}},
		"to none":                               {[]string{"Board", "Dairy"}, "Dairy", "", []string{"Board"}},
		"to one that it is in":                  {[]string{"Board", "Sales"}, "", "Sales", []string{"Board", "Sales"}},
		"an administrator took it out":          {nil, "Sales", "Sales", []string{"Sales"}},
		"an administrator deleted the old one":  {nil, "Dairy", "Sales", []string{"Sales"}},
		"a name with a quote, and another like": {[]string{"R & D"}, "", "R & D's", []string{"R & D", "R & D's"}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 1})
			d := open(t, configFor(sim))
			sim.SetGroups("200", c.before...)
			sim.SetField("200", "department", c.text)
			to := directory.Extension{Fields: directory.Fields{Department: c.department}}
			for range 2 {
				if err := d.UpdateExtension(t.Context(), "200", change(to, directory.Department)); err != nil {
					t.Fatal(err)
				}
			}
			groups := sim.GroupsOf("200")
			if slices.Sort(groups); !slices.Equal(groups, c.after) {
				t.Errorf("it is in %v and should be in %v", groups, c.after)
			}
			if e, err := d.Extension(t.Context(), "200"); err != nil || e.Department != c.department {
				t.Errorf("read %q, %v", e.Department, err)
			}
		})
	}
}

func TestASignInIsABindingToTheMarkedAccount(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2})
	d := open(t, configFor(sim))
	is := func(when, account string) {
		t.Helper()
		e, err := d.Extension(t.Context(), "200")
		if bound := sim.Bound("200"); err != nil || bound != account || e.SignIn != (account != "") {
			t.Errorf("%s: bound to %q, read %v (%v)", when, bound, e.SignIn, err)
		}
	}
	signIn := func(on bool, marker identity.User) error {
		return d.UpdateExtension(t.Context(), "200", change(directory.Extension{Marker: marker, Fields: directory.Fields{SignIn: on}}, directory.SignIn))
	}
	if err := signIn(true, ""); err == nil || fault.KindOf(err) != fault.Invalid {
		t.Errorf("nobody's account: %v", err)
	}
	is("nobody's account", "")
	for _, c := range []struct {
		on      bool
		marker  identity.User
		account identity.User
	}{{true, ada, ada}, {true, "", ada}, {true, bela, bela}, {false, "", ""}, {false, "", ""}, {true, "", bela}} {
		if err := signIn(c.on, c.marker); err != nil {
			t.Fatal(err)
		}
		is(fmt.Sprintf("%+v", c), string(c.account))
	}
	// The group by which it is known is nobody's department.
	err := d.UpdateExtension(t.Context(), "201", change(directory.Extension{Fields: directory.Fields{Department: signInGroup}}, directory.Department))
	if err == nil || fault.KindOf(err) != fault.Invalid {
		t.Errorf("a department of that name: %v", err)
	}
}

// What comes after the making of a user may fail: then it is there, and the kind says
// that nobody knows how much of it.
func TestAnExtensionThatIsNotCompleteIsATimeoutAndCanBeCompleted(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, NoMS365: true})
	d := open(t, configFor(sim))
	e := directory.Extension{Number: "600", Enabled: true, Marker: ada, Fields: directory.Fields{LastName: "Abel", Department: "Sales", SignIn: true}}
	if err := d.CreateExtension(t.Context(), e); err == nil || fault.KindOf(err) != fault.Timeout {
		t.Errorf("got %v", err)
	}
	got, err := d.Extension(t.Context(), "600")
	if want := "Sales"; err != nil || got.Marker != ada || got.SignIn || got.Department != want {
		t.Errorf("it is %+v, %v", got, err)
	}
}

// secretive makes users on a phone system that refuses them and quotes everything.
func TestNothingSecretIsPrinted(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, EchoBodies: true, Licence: 1, Minor: 3, Retrieval: true})
	config := configFor(sim)
	d := open(t, config)
	var printed strings.Builder
	log := slog.New(slog.NewTextHandler(&printed, nil))
	err := d.CreateExtension(t.Context(), directory.Extension{Number: "600"})
	if !errors.Is(err, pbx.ErrLicenceFull) {
		t.Errorf("got %v", err)
	}
	log.Error("create", "error", err, "config", fmt.Sprintf("%+v %#v", config, config))
	sim.SetField("200", "display_name", 7) // which is refused when it is sent back
	err = d.UpdateExtension(t.Context(), "200", change(directory.Extension{Fields: directory.Fields{Mail: "x"}}, directory.Mail))
	if err == nil {
		t.Error("a user that cannot be sent back was changed")
	}
	log.Error("change", "error", err)
	config.Admin.Password = config.Accounts["200"].Password
	_, password, _ := sim.Credentials()
	text := printed.String()
	for _, hidden := range []string{password.Reveal(), "135790", `\"voicemail_pin\":\"1`} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is printed: %s", hidden, text)
		}
	}
	if !strings.Contains(text, "***") {
		t.Errorf("the phone system quoted nothing: the test proves nothing (%s)", text)
	}
}

func TestSecretsAreAsPoliciesWantThem(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		s := newSecrets()
		for _, password := range []string{s.password, s.extension} {
			if len(password) < 20 || !strings.ContainsAny(password, "abcdefghijkmnopqrstuvwxyz") || !strings.ContainsAny(password, "ABCDEFGHJKLMNPQRSTUVWXYZ") || !strings.ContainsAny(password, "0123456789") {
				t.Fatal("a password is too poor")
			}
			if seen[password] {
				t.Fatal("a password came twice")
			}
			seen[password] = true
		}
		for i := 1; i < len(s.pin); i++ {
			if apart := int(s.pin[i]) - int(s.pin[i-1]); apart >= -1 && apart <= 1 {
				t.Fatal("a PIN has neighbours")
			}
		}
	}
}

func TestNamesAreOneDisplayNameAndComeApartAgain(t *testing.T) {
	for _, c := range []struct{ first, last, display string }{
		{"", "", "204"}, {"Ada", "Abel", "Ada Abel"}, {"Mary Ann", "Abel", "Mary Ann\u00a0Abel"}, {"Ada", "van der Berg", "Ada van der Berg"},
		{"", "Abel", "Abel"}, {"Ada", "", "Ada "}, {"", "van Berg", "\u00a0van Berg"}, {"Mary Ann", "", "Mary Ann\u00a0"}, {" ", " ", "\u00a0\u00a0 "}, {"", "204", "\u00a0204"},
	} {
		display, err := displayName("op", "204", c.first, c.last)
		if c.first == " " { // either is good, if it comes apart again
			c.display = display
		}
		first, last, _ := names("204", display)
		if err != nil || display != c.display || first != c.first || last != c.last {
			t.Errorf("%q, %q: %q (%v), which is %q, %q", c.first, c.last, display, err, first, last)
		}
	}
	for _, c := range []struct{ first, last string }{{"A\u00a0B", "C\u00a0D"}, {strings.Repeat("a", 65), strings.Repeat("b", 65)}} {
		if display, err := displayName("op", "204", c.first, c.last); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q, %q: %q, %v", c.first, c.last, display, err)
		}
	}
}

func TestOneDeletionThatFailsCostsNoneOfTheOthers(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 5})
	d := open(t, configFor(sim))
	// The phone system goes away after the second: the rest is not tried, and is told.
	exts := []identity.Extension{"200", "201", "202", "203"}
	for _, ext := range exts {
		if _, err := d.Status(t.Context(), ext); err != nil {
			t.Fatal(err)
		}
	}
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Unavailable, Only: "write"})
	if failed, err := d.DeleteExtensions(t.Context(), exts); failed != nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("away from the first on: %v, %v", failed, err)
	}
	sim.ClearFaults()
	sim.Remove("200")
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Throttle, Only: "write", Times: 1})
	if _, err := d.DeleteExtensions(t.Context(), exts); err == nil || fault.KindOf(err) != fault.Throttled {
		t.Errorf("throttled: %v", err)
	}
	failed, err := d.DeleteExtensions(t.Context(), exts)
	if err != nil || len(failed) != 1 || fault.KindOf(failed["200"]) != fault.NotFound {
		t.Errorf("one is gone already: %v, %v", failed, err)
	}
	if left := sim.Numbers(); !slices.Equal(left, []identity.Extension{"204"}) {
		t.Errorf("left: %v", left)
	}
}

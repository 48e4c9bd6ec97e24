package portsip

import (
	"reflect"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// openPhotos connects a driver that knows the accounts of some users.
func openPhotos(t *testing.T, sim *portsipsim.Sim, partial bool, owners ...identity.Extension) pbx.Photos {
	t.Helper()
	config := configFor(sim, owners...)
	config.Partial = partial
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	photos, ok := d.(pbx.Photos)
	if !ok {
		t.Fatal("it sets no photos")
	}
	return photos
}

func TestAPhotoCostsNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		sim     portsipsim.Config
		partial bool
		lost    bool
	}{
		"what is not named is lost":                    {sim: portsipsim.Config{Replace: true, Nulls: true, Minor: 3}},
		"what is not named is kept":                    {partial: true},
		"the control: it is lost, and only it is sent": {sim: portsipsim.Config{Replace: true}, partial: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.sim.Extensions = 2
			sim := start(t, c.sim)
			photos := openPhotos(t, sim, c.partial, "200")
			before := sim.Fields("200")
			if err := photos.SetPhoto(t.Context(), "200", []byte("a picture"), "image/png"); err != nil {
				t.Fatal(err)
			}
			if shown := string(sim.Photo("200")); shown != "a picture" {
				t.Errorf("it shows %q", shown)
			}
			if kept := reflect.DeepEqual(sim.Fields("200"), before); kept == c.lost {
				t.Errorf("before %v, afterwards %v", before, sim.Fields("200"))
			}
		})
	}
}

func TestAPhotoNeedsTheUsersAccount(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2})
	photos := openPhotos(t, sim, true, "200")
	if err := photos.SetPhoto(t.Context(), "201", []byte("a picture"), "image/png"); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "options.accounts") {
		t.Errorf("got %v", err)
	}
	if d := open(t, configFor(sim)); d.Capabilities().Photo.Any() {
		t.Error("photos are promised without any account")
	}
	if sim.Photo("201") != nil {
		t.Error("201 shows something")
	}
}

// Until the user names the file nothing has changed, so that a lost answer before that is
// no doubt about the photo.
func TestAnAnswerLostDuringTheUploadIsNoDoubt(t *testing.T) {
	for i, want := range []fault.Kind{fault.Unavailable, fault.Unavailable, fault.Unavailable, fault.Timeout} {
		sim := start(t, portsipsim.Config{Extensions: 1})
		photos := openPhotos(t, sim, true, "200")
		sim.Inject(portsipsim.Fault{Kind: portsipsim.LostAnswer, Only: "write", After: i, Times: 1})
		err := photos.SetPhoto(t.Context(), "200", []byte("a picture"), "image/png")
		if fault.KindOf(err) != want {
			t.Errorf("answer %d lost: %v", i+1, err)
		}
		if shown := sim.Photo("200") != nil; shown != (want == fault.Timeout) {
			t.Errorf("answer %d lost: it shows a photo: %t", i+1, shown)
		}
	}
}

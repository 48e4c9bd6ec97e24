package threecx

import (
	"strings"
	"testing"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx/pbxsim"
)

func TestVersionsAreCompared(t *testing.T) {
	for version, older := range map[string]bool{
		"20.0.8": true, "20.0.8.1109": true, "20.0": false, "19.9.9": true, "20.0.9": false, "20.0.9.1": false, "20.0.10": false,
		"20.1.0": false, "21.0.0": false, "": false, "twenty": false, "20.x.8": false,
	} {
		if got := before(version, 20, 0, 9); got != older {
			t.Errorf("%q is older than 20.0.9: %v", version, got)
		}
	}
}

// The other halves of these are cases of the suite, which runs against both versions.
func TestAnOlderVersionHasTheCompanysBookOnly(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1, Version: "20.0.8.1109"})
	d := open(t, sim)
	if p := d.Capabilities().Phonebook; !p.Company || p.Personal {
		t.Errorf("powers %+v", p)
	}
	id, err := d.CreateContact(t.Context(), "", directory.Contact{Source: "k1", LastName: "Abel"})
	if err != nil {
		t.Fatal(err)
	}
	before := sim.Stats().Requests
	failed, err := d.DeleteContacts(t.Context(), "", []string{id})
	if n := sim.Stats().Requests - before; err != nil || len(failed) != 0 || n != 1 || len(sim.Book("")) != 0 {
		t.Errorf("failed %v, %v after %d requests", failed, err, n)
	}
}

func TestEntriesAreDeletedOneByOneWhereTogetherIsRefused(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1, StrictDeletions: true})
	d := open(t, sim)
	var ids []string
	for range 3 {
		ids = append(ids, sim.Enter("", directory.Contact{LastName: "Abel"}))
	}
	failed, err := d.DeleteContacts(t.Context(), "", append(ids, "77", "not a key"))
	if err != nil || len(failed) != 2 || fault.KindOf(failed["77"]) != fault.NotFound || fault.KindOf(failed["not a key"]) != fault.NotFound {
		t.Errorf("failed %v, %v", failed, err)
	}
	if n := len(sim.Book("")); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestDeletingOneByOneEndsWhenThePhoneSystemDoes(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1, StrictDeletions: true})
	first, second := sim.Enter("", directory.Contact{LastName: "Abel"}), sim.Enter("", directory.Contact{LastName: "Berg"})
	g, d := through(t, sim, nil)
	before := sim.Stats().Requests
	g.Spoil(func(x *contracttest.Exchange) {
		if x.Request.Method == "DELETE" {
			x.Status, x.Answer = 503, nil
		}
	})
	failed, err := d.DeleteContacts(t.Context(), "", []string{"77", first, second})
	if err != nil || len(failed) != 3 {
		t.Errorf("failed %v, %v", failed, err)
	}
	for id, why := range failed {
		if fault.KindOf(why) != fault.Unavailable {
			t.Errorf("%s: %v", id, why)
		}
	}
	if n := sim.Stats().Requests - before; n != 2 { // together, and the first
		t.Errorf("%d requests", n)
	}
}

func TestAFullPersonalBookIsSaid(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1, PersonalMax: 1})
	d := open(t, sim)
	for i, full := range []bool{false, true} {
		_, err := d.CreateContact(t.Context(), "200", directory.Contact{LastName: "Abel"})
		if (err != nil) != full || full && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "too many personal contacts")) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func TestAPersonsTagStays(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	g, d := through(t, sim, nil)
	id := sim.Enter("", directory.Contact{LastName: "Abel"})
	if err := d.UpdateContact(t.Context(), "", directory.Contact{ID: id, LastName: "Berg"}); err != nil {
		t.Fatal(err)
	}
	passed := g.Passed()
	if sent := string(passed[len(passed)-1].Sent); strings.Contains(sent, "Tag") || !strings.Contains(sent, `"Home":""`) {
		t.Errorf("sent was %s", sent)
	}
}

func TestAnEntryWhoseKeyIsNotToldIsATimeout(t *testing.T) {
	for _, answer := range []string{"null", "{}", `{"Id":0}`, "", "[]"} {
		g, d := through(t, start(t, pbxsim.Config{Extensions: 1}), nil)
		g.Spoil(func(x *contracttest.Exchange) {
			if x.Request.Method == "POST" && strings.Contains(x.Request.URL.Path, "/Contacts") {
				x.Answer = []byte(answer)
			}
		})
		if _, err := d.CreateContact(t.Context(), "200", directory.Contact{LastName: "Abel"}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

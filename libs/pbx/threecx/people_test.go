package threecx

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
)

const ada identity.User = "0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"

// made is an extension that a driver has just made.
func made(t *testing.T, d *Driver, e directory.Extension) directory.Extension {
	t.Helper()
	if err := d.CreateExtension(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAMoveTakesNobodysRights(t *testing.T) {
	for name, c := range map[string]struct {
		before     map[string]string // department: role
		department string
		after      map[string]string
		first      string // the department that it belongs to then
	}{
		"from none to one":           {map[string]string{}, "Sales", map[string]string{"Sales": "users"}, "Sales"},
		"others keep their roles":    {map[string]string{"Board": "managers"}, "Sales", map[string]string{"Board": "managers", "Sales": "users"}, "Sales"},
		"an owner stays one":         {map[string]string{"DEFAULT": "system_owners"}, "Sales", map[string]string{"DEFAULT": "system_owners", "Sales": "users"}, "Sales"},
		"to one with rights there":   {map[string]string{"Sales": "managers"}, "Sales", map[string]string{"Sales": "managers"}, "Sales"},
		"to none from none":          {map[string]string{"Board": "managers"}, "", map[string]string{"DEFAULT": "users", "Board": "managers"}, ""},
		"a quote in a name":          {map[string]string{}, "Ada's", map[string]string{"Ada's": "users"}, "Ada's"},
		"a department that there is": {map[string]string{"Board": "users"}, "Board", map[string]string{"Board": "users"}, "Board"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, pbxsim.Config{Extensions: 1})
			d := open(t, sim)
			for department, role := range c.before {
				sim.Grant("200", department, role)
			}
			update := directory.Update{Fields: []directory.Field{directory.Department}, To: directory.Extension{Fields: directory.Fields{Department: c.department}}}
			for range 2 {
				if err := d.UpdateExtension(t.Context(), "200", update); err != nil {
					t.Fatal(err)
				}
			}
			shown, _ := sim.Shown("200")
			if roles := sim.Roles("200"); !maps.Equal(roles, c.after) || shown.Department != c.first {
				t.Errorf("it belongs to %q and is in %v", shown.Department, roles)
			}
			writes := sim.Stats().Changes["update-user"]
			if want := min(1, len(c.first)); writes != want {
				t.Errorf("it was written %d times", writes)
			}
		})
	}
}

func TestADepartmentIsMadeOnceHoweverManyAskForIt(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	var makers sync.WaitGroup
	for i := range 8 {
		makers.Go(func() {
			e := directory.Extension{Number: identity.Extension(fmt.Sprint(500 + i)), Fields: directory.Fields{Department: "Sales"}}
			if err := d.CreateExtension(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	makers.Wait()
	if got := sim.Departments(); !slices.Equal(got, []string{"DEFAULT", "Sales"}) {
		t.Errorf("there are %v", got)
	}
}

func TestTheDefaultDepartmentHasNoName(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	if e, err := d.Extension(t.Context(), "200"); err != nil || e.Department != "" {
		t.Errorf("got %+v, %v", e, err)
	}
	// Who belongs in one of that name gets the extension, and is in it.
	made(t, d, directory.Extension{Number: "500", Fields: directory.Fields{FirstName: "Ada", Department: "DEFAULT"}})
	if roles := sim.Roles("500"); !maps.Equal(roles, map[string]string{"DEFAULT": "users"}) {
		t.Errorf("500 is in %v", roles)
	}
	made(t, d, directory.Extension{Number: "501", Fields: directory.Fields{Department: "Sales"}})
	to := directory.Update{Fields: []directory.Field{directory.Department}, To: directory.Extension{Fields: directory.Fields{Department: "DEFAULT"}}}
	if err := d.UpdateExtension(t.Context(), "501", to); err != nil {
		t.Error(err)
	}
	if roles := sim.Roles("501"); !maps.Equal(roles, map[string]string{"DEFAULT": "users"}) {
		t.Errorf("501 is in %v", roles)
	}
}

func TestOnlyWhatChangesIsSent(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	e := made(t, d, directory.Extension{Number: "500", Fields: directory.Fields{FirstName: "Ada"}})
	e.Mobile, e.Enabled = "1", true
	before := sim.Stats().Requests
	if err := d.UpdateExtension(t.Context(), "500", directory.Update{Fields: []directory.Field{directory.Mobile, directory.Enabled}, To: e}); err != nil {
		t.Fatal(err)
	}
	if n := sim.Stats().Requests - before; n != 1 {
		t.Errorf("%d requests", n)
	}
	var sent [][]string
	for _, change := range sim.Changes() {
		sent = append(sent, change.What)
	}
	if !slices.EqualFunc(sent, [][]string{{"Enabled", "FirstName"}, {"Enabled", "Mobile"}}, slices.Equal) {
		t.Errorf("sent were %v", sent)
	}
}

// 3CX documents no code for what is not allowed, so every one it could be must do.
func TestWhyAnExtensionWasNotMade(t *testing.T) {
	for _, refusal := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity} {
		for name, c := range map[string]struct {
			number identity.Extension
			full   bool
			kind   fault.Kind
		}{
			"a user has the number":       {"200", false, fault.Conflict},
			"a queue has the number":      {"800", false, fault.Conflict},
			"both taken and full":         {"200", true, fault.Conflict},
			"the licence is full":         {"500", true, fault.Denied},
			"something else is not right": {"5 0", false, map[int]fault.Kind{http.StatusForbidden: fault.Denied}[refusal]},
		} {
			t.Run(fmt.Sprint(refusal, ", ", name), func(t *testing.T) {
				sim := start(t, pbxsim.Config{Extensions: 2, Refusal: refusal})
				d := open(t, sim)
				sim.TakeNumber("800")
				e := directory.Extension{Number: c.number, Fields: directory.Fields{FirstName: "Ada"}}
				if c.full {
					sim.SetLicence(2)
				}
				err := d.CreateExtension(t.Context(), e)
				kind := c.kind
				if kind == 0 {
					kind = fault.Invalid
				}
				if fault.KindOf(err) != kind || errors.Is(err, pbx.ErrLicenceFull) != (kind == fault.Denied && c.full) {
					t.Errorf("got %v", err)
				}
				if n := sim.Stats().Changes["create-user"]; n != 0 {
					t.Errorf("%d users were made", n)
				}
			})
		}
	}
}

func TestAMarkerThatWasNotLeftIsATimeout(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	g, d := through(t, sim, nil)
	g.Spoil(func(x *contracttest.Exchange) {
		if strings.Contains(x.Request.URL.Path, "DNProperty") {
			x.Status, x.Answer = http.StatusForbidden, nil
		}
	})
	e := directory.Extension{Number: "500", Enabled: true, Marker: ada, Fields: directory.Fields{FirstName: "Ada"}}
	if err := d.CreateExtension(t.Context(), e); fault.KindOf(err) != fault.Timeout {
		t.Errorf("got %v", err)
	}
	if err := d.UpdateExtension(t.Context(), "500", directory.Update{To: directory.Extension{Marker: "1e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"}}); fault.KindOf(err) != fault.Denied {
		t.Errorf("left later: %v", err)
	}
	g.Spoil(nil)
	got, err := d.Extension(t.Context(), "500")
	if err != nil || got.FirstName != "Ada" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAMarkerThatIsNoneIsNone(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	if err := d.setMarker(t.Context(), "test", "200", "somebody", false); err != nil {
		t.Fatal(err)
	}
	if e, err := d.Extension(t.Context(), "200"); err != nil || e.Marker != "" {
		t.Errorf("got %+v, %v", e, err)
	}
	if err := d.UpdateExtension(t.Context(), "200", directory.Update{To: directory.Extension{Marker: ada}}); err != nil {
		t.Fatal(err)
	}
	if e, err := d.Extension(t.Context(), "200"); err != nil || e.Marker != ada {
		t.Errorf("got %+v, %v", e, err)
	}
}

// Whatever is asked: a success with an error inside is none. Reads have no effect to
// wonder about, writes do.
func TestAnErrorInsideOfASuccessIsAnError(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 2})
	d := open(t, sim)
	id := sim.Enter("", directory.Contact{LastName: "Abel"})
	ctx := t.Context()
	_ = d.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil }) // the keys are known
	sim.Inject(pbxsim.Fault{Kind: pbxsim.ErrorInside})
	_, status := d.Status(ctx, "200")
	_, sync := d.NativeSync(ctx)
	_, extension := d.Extension(ctx, "200")
	_, fired := d.DeleteExtensions(ctx, []identity.Extension{"200"})
	_, entered := d.CreateContact(ctx, "", directory.Contact{LastName: "Abel"})
	_, own := d.CreateContact(ctx, "200", directory.Contact{LastName: "Abel"})
	_, erased := d.DeleteContacts(ctx, "", []string{id})
	for what, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"status":            {status, fault.Unavailable},
		"statuses":          {d.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil }), fault.Unavailable},
		"extensions":        {d.Extensions(ctx, func(directory.Extension) error { return nil }), fault.Unavailable},
		"extension":         {extension, fault.Unavailable},
		"native sync":       {sync, fault.Unavailable},
		"contacts":          {d.Contacts(ctx, "", func(directory.Contact) error { return nil }), fault.Unavailable},
		"set status":        {d.SetStatus(ctx, "200", presence.DND), fault.Timeout},
		"create extension":  {d.CreateExtension(ctx, directory.Extension{Number: "500"}), fault.Timeout},
		"update extension":  {d.UpdateExtension(ctx, "200", directory.Update{Fields: []directory.Field{directory.Mail}}), fault.Timeout},
		"delete extensions": {fired, fault.Unavailable}, // the keys could not be read
		"create contact":    {entered, fault.Timeout},
		"personal contact":  {own, fault.Timeout},
		"update contact":    {d.UpdateContact(ctx, "", directory.Contact{ID: id}), fault.Timeout},
		"delete contacts":   {erased, fault.Timeout},
	} {
		if c.err == nil || fault.KindOf(c.err) != c.kind || !strings.Contains(c.err.Error(), "Something went wrong") && c.kind == fault.Unavailable {
			t.Errorf("%s: got %v", what, c.err)
		}
	}
	sim.ClearFaults()
	if len(sim.Changes()) != 0 || len(sim.Book("")) != 1 || len(sim.Writes()) != 0 {
		t.Errorf("something was done: %+v", sim.Changes())
	}
}

func TestDeletionsAreOnlyBelievedWhenTheyMakeSense(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		spoil string
		kind  fault.Kind
	}{
		"the filter was not understood":      {"/Users", `{"value":[{"Id":21,"Number":"200"},{"Id":22,"Number":"201"}]}`, fault.Unavailable},
		"no list of users":                   {"/Users", `{}`, fault.Unavailable},
		"no word on what was deleted":        {"/Users/Pbx.BatchDelete", `{}`, fault.Timeout},
		"an error about nobody":              {"/Users/Pbx.BatchDelete", `{"value":[{"ExtensionNumber":null,"Error":"no"}]}`, fault.Timeout},
		"an error about somebody else":       {"/Users/Pbx.BatchDelete", `{"value":[{"ExtensionNumber":"201","Error":"no"}]}`, fault.Timeout},
		"an error inside of the deletion":    {"/Users/Pbx.BatchDelete", `{"error":{"code":"x","message":"no"}}`, fault.Timeout},
		"an error about the one in question": {"/Users/Pbx.BatchDelete", `{"value":[{"ExtensionNumber":"200","Error":"no"}]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g, d := through(t, start(t, pbxsim.Config{Extensions: 2}), nil)
			g.Spoil(func(x *contracttest.Exchange) {
				if x.Request.URL.Path == root+c.path {
					x.Answer = []byte(c.spoil)
				}
			})
			failed, err := d.DeleteExtensions(t.Context(), []identity.Extension{"200"})
			if (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind || err == nil && fault.KindOf(failed["200"]) != fault.Invalid {
				t.Errorf("failed %v, %v", failed, err)
			}
		})
	}
}

func TestWhatIsDeletedIsWhoHasTheNumberNow(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 3})
	d := open(t, sim)
	_ = d.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil })
	sim.Recreate("200") // under another key
	if failed, err := d.DeleteExtensions(t.Context(), []identity.Extension{"200"}); err != nil || len(failed) != 0 {
		t.Errorf("failed %v, %v", failed, err)
	}
	if all := sim.Truth(); len(all) != 2 || all[0].Number != "201" {
		t.Errorf("left are %+v", all)
	}
}

func TestAListOfDepartmentsThatIsNotWholeIsNotWritten(t *testing.T) {
	many := strings.Repeat(`{"GroupId":1,"Rights":{"RoleName":"users"}},`, pageSize)
	for name, told := range map[string]string{
		"no roles":      `{"value":[{"GroupId":1}]}`,
		"no key":        `{"value":[{"Rights":{"RoleName":"users"}}]}`,
		"no list":       `{}`,
		"a full page":   `{"value":[` + strings.TrimSuffix(many, ",") + `]}`,
		"another page":  `{"value":[{"GroupId":1,"Rights":{"RoleName":"users"}}],"@odata.nextLink":"/xapi/v1/Users(21)/Groups?$skip=1"}`,
		"not JSON":      `<html>`,
		"of which some": `{"value":[{"GroupId":1,"Rights":{"RoleName":"users"}},{"GroupId":2,"Rights":null}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, pbxsim.Config{Extensions: 1})
			g, d := through(t, sim, nil)
			g.Spoil(func(x *contracttest.Exchange) {
				if strings.HasSuffix(x.Request.URL.Path, ")/Groups") {
					x.Answer = []byte(told)
				}
			})
			err := d.UpdateExtension(t.Context(), "200", directory.Update{Fields: []directory.Field{directory.Department, directory.FirstName},
				To: directory.Extension{Fields: directory.Fields{Department: "Sales", FirstName: "Ada"}}})
			if kind := fault.KindOf(err); err == nil || kind != fault.Unavailable && kind != fault.Invalid {
				t.Errorf("got %v", err)
			}
			if n := sim.Stats().Changes["update-user"]; n != 0 {
				t.Errorf("it was written")
			}
		})
	}
}

func TestAUserThatGotAnotherNumberIsTakenBack(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	g, d := through(t, sim, nil)
	g.Spoil(func(x *contracttest.Exchange) {
		if x.Request.Method == http.MethodPost && x.Request.URL.Path == root+"/Users" {
			x.Answer = []byte(strings.Replace(string(x.Answer), `"500"`, `"777"`, 1))
		}
	})
	if err := d.CreateExtension(t.Context(), directory.Extension{Number: "500"}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "777") {
		t.Errorf("got %v", err)
	}
	if n := len(sim.Truth()); n != 1 {
		t.Errorf("%d extensions are left", n)
	}
}

// However many are deleted while a listing is under way, whoever stays is in it, once.
func TestAListingHidesNobodyWhoStays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for round := range 8 {
		sim := start(t, pbxsim.Config{Extensions: 420})
		d := open(t, sim)
		var there []identity.Extension
		for _, e := range sim.Truth() {
			there = append(there, e.Number)
		}
		chance := []int{2, 3, 10, 50}[round%4]
		listed := make(map[identity.Extension]int)
		err := d.Statuses(t.Context(), func(ext identity.Extension, _ presence.Status) error {
			listed[ext]++
			if dice.IntN(chance) == 0 && len(there) > 10 {
				at := dice.IntN(len(there))
				sim.Remove(there[at])
				there = slices.Delete(there, at, at+1)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, ext := range there {
			if listed[ext] != 1 {
				t.Errorf("round %d: %s stayed and is listed %d times", round, ext, listed[ext])
			}
		}
		for ext, n := range listed {
			if n > 1 {
				t.Errorf("round %d: %s is listed %d times", round, ext, n)
			}
		}
	}
}

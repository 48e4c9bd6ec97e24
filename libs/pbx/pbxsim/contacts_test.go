package pbxsim

import (
	"reflect"
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
)

func TestPhonebooks(t *testing.T) {
	c := newClient(t, Config{Extensions: 2, PersonalMax: 2, MaxText: 40})
	foreign := c.sim.Enter("", directory.Contact{LastName: "Adler", Numbers: []directory.Number{{Kind: directory.HomeNumber, Text: "1"}}})
	c.through(t,
		step{"GET", "/Contacts" + with("$select", "Id,LastName,Home,Tag"), "", 200, `[{"Home":"1","Id":1001,"LastName":"Adler","Tag":"VIP"}]`},
		step{"POST", "/Contacts", `{"LastName":"Berg","CompanyName":"Contoso","PhoneNumber":"2","Tag":"offhook:k1"}`, 201, `"Id":1002`},
		step{"POST", "/Contacts", `{"LastNmae":"Berg"}`, 400, "LastNmae"},
		step{"POST", "/Contacts", `{"LastName":"0123456789012345678901234567890123456789!"}`, 400, "40 characters"},
		step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"number":"200","contact":{"LastName":"Costa","Business":"3","Tag":"offhook:k2"}}`, 200, `"Id":1003`},
		step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"number":"200","contact":{"LastName":"Duval"}}`, 200, `"Id":1004`},
		step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"number":"200","contact":{"LastName":"Engel"}}`, 400, "too many"},
		step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"number":"999","contact":{"LastName":"Engel"}}`, 404, ""},
		step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"contact":{"LastName":"Engel"}}`, 400, "number"},
		step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='200')" + with("$select", "Id", "$orderby", "Id", "$skip", "1"), "", 200, `[{"Id":1004}]`},
		step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='201')", "", 200, `"value":[]`},
		step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='999')", "", 404, ""},
		step{"GET", "/Contacts" + with("$count", "true", "$top", "0"), "", 200, `"@odata.count":2`},
		step{"PATCH", "/Contacts(1002)", `{"PhoneNumber":null,"Mobile2":"4"}`, 204, ""},
		step{"PATCH", "/Contacts(9)", `{"PhoneNumber":null}`, 404, ""},
		step{"DELETE", "/Contacts(1004)", "", 204, ""},
		step{"DELETE", "/Contacts(1004)", "", 404, ""},
		step{"POST", "/Contacts/Pbx.BatchContactsDelete", `{"ids":[1002]}`, 404, ""},
	)
	if got, want := c.sim.Book(""), []directory.Contact{
		{ID: foreign, LastName: "Adler", Numbers: []directory.Number{{Kind: directory.HomeNumber, Text: "1"}}},
		{ID: "1002", Source: "k1", LastName: "Berg", Company: "Contoso", Numbers: []directory.Number{{Kind: directory.Mobile2Number, Text: "4"}}},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("the company's book is %+v", got)
	}
	c.through(t, step{"POST", "/Contacts/Pbx.DeleteContactsById", `{"ids":[1002,1002,9,1003]}`, 204, ""})
	if company, personal := c.sim.Book(""), c.sim.Book("200"); len(company) != 1 || len(personal) != 0 {
		t.Errorf("left are %+v and %+v", company, personal)
	}
	changes := c.sim.Stats().Changes
	if changes["create-contact"] != 3 || changes["update-contact"] != 1 || changes["delete-contact"] != 3 {
		t.Errorf("counted %v", changes)
	}
}

func TestVersionsOfPhonebooks(t *testing.T) {
	personal := step{"POST", "/Contacts/Pbx.CreateContactByNumber", `{"number":"200","contact":{"LastName":"Abel"}}`, 0, ""}
	list := step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='200')", "", 0, ""}
	before := step{"POST", "/Contacts/Pbx.BatchContactsDelete", `{"ids":[1]}`, 0, ""}
	since := step{"POST", "/Contacts/Pbx.DeleteContactsById", `{"ids":[1]}`, 0, ""}
	for version, want := range map[string][4]int{"20.0.8": {404, 404, 204, 404}, "20.0.9": {200, 200, 404, 204}, "20.0.10": {200, 200, 404, 204}} {
		c := newClient(t, Config{Version: version, Extensions: 1})
		for i, s := range []step{personal, list, before, since} {
			s.status = want[i]
			c.through(t, s)
		}
	}
}

func TestStrictDeletionsAreAllOrNone(t *testing.T) {
	c := newClient(t, Config{Extensions: 1, StrictDeletions: true})
	c.sim.Enter("", directory.Contact{LastName: "Abel"})
	c.through(t,
		step{"POST", "/Contacts/Pbx.DeleteContactsById", `{"ids":[1001,9]}`, 404, ""},
		step{"POST", "/Contacts/Pbx.DeleteContactsById", `{"ids":[1001]}`, 204, ""},
	)
}

func TestAPersonsBookGoesWithThem(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	c.sim.Enter("200", directory.Contact{LastName: "Abel"})
	c.sim.Remove("200")
	c.through(t,
		step{"POST", "/Users", `{"Number":"200"}`, 201, ""},
		step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='200')", "", 200, `"value":[]`},
		step{"PATCH", "/Contacts(1001)", `{"Home":"1"}`, 404, ""},
	)
}

func TestWhatIsDescribedIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		step   step
	}{
		"the newer names":       {Config{Version: "20.0.10"}, step{"GET", "/swagger.yaml", "", 200, "  /Contacts/Pbx.DeleteContactsById:"}},
		"the older ones":        {Config{Version: "20.0.8"}, step{"GET", "/swagger.yaml", "", 200, "  /Contacts/Pbx.BatchContactsDelete:"}},
		"another version's":     {Config{Version: "20.0.8", Actions: "20.0.9"}, step{"GET", "/swagger.yaml", "", 200, "  /Contacts/Pbx.GetContactsByNumber(number={Number}):"}},
		"and they are there":    {Config{Version: "20.0.8", Actions: "20.0.9"}, step{"GET", "/Contacts/Pbx.GetContactsByNumber(number='200')", "", 200, `"value":[]`}},
		"it cannot be changed":  {Config{}, step{"POST", "/swagger.yaml", "", 405, ""}},
		"there may be none":     {Config{Schema: Missing}, step{"GET", "/swagger.yaml", "", 404, ""}},
		"or none for everybody": {Config{Schema: Forbidden}, step{"GET", "/swagger.yaml", "", 403, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Extensions = 1
			newClient(t, c.config).through(t, c.step)
		})
	}
	for version, absent := range map[string]string{"20.0.8": "ByNumber", "20.0.9": "BatchContactsDelete"} {
		if text := (Config{Actions: version}).schema(); strings.Contains(text, absent) {
			t.Errorf("%s: %s is described", version, absent)
		}
	}
}

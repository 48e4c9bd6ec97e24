package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
)

func TestParsePhone(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       directory.Phone
		reason     directory.Reason
	}{
		{"nothing", "", directory.Phone{}, ""},
		{"spaces", " \u00a0 ", directory.Phone{}, ""},
		{"as people write", "+49 30 555-01.23/4", directory.Phone{Number: "+4930555012" + "34"}, ""},
		{"a trunk zero in brackets goes after a country's code", "+49 (0)30 1234", directory.Phone{Number: "+49301234"}, ""},
		{"and stays without one", "(0)30 1234", directory.Phone{Number: "0301234"}, ""},
		{"an area in brackets", "(030) 1234", directory.Phone{Number: "0301234"}, ""},
		{"dashes of all kinds", "030\u20131234\u20115", directory.Phone{Number: "03012345"}, ""},
		{"an extension behind", "+49 30 1234 ext. 12", directory.Phone{Number: "+49301234", Extension: "12"}, ""},
		{"an extension with x", "030 1234 x12", directory.Phone{Number: "0301234", Extension: "12"}, ""},
		{"an extension in full", "030 1234, Extension: 12", directory.Phone{Number: "0301234", Extension: "12"}, ""},
		{"an extension of a tel address", "tel:+49-30-1234;ext=12", directory.Phone{Number: "+49301234", Extension: "12"}, ""},
		{"other parameters of a tel address", "tel:+49-30-1234;phone-context=x", directory.Phone{Number: "+49301234"}, ""},
		{"an extension alone", "ext. 12", directory.Phone{Extension: "12"}, directory.OnlyAnExtension},
		{"a mark without digits", "ext.", directory.Phone{}, directory.NotANumber},
		{"digits of Arabic", "\u0660\u0663\u0660 \u0661\u0662", directory.Phone{Number: "03012"}, ""},
		{"digits of Persian", "\u06f0\u06f3", directory.Phone{Number: "03"}, ""},
		{"digits of full width", "\uff0b\uff14\uff19\uff08\uff10\uff09\uff13", directory.Phone{Number: "+493"}, ""},
		{"digits of Devanagari", "\u0966\u0969", directory.Phone{Number: "03"}, ""},
		{"digits beyond the first plane", "\U0001d7ce\U0001d7d7\U0001d7ff", directory.Phone{Number: "099"}, ""},
		{"marks of direction", "\u200e+49 30\u202c 1", directory.Phone{Number: "+49301"}, ""},
		{"codes of a phone", "*21#", directory.Phone{Number: "*21#"}, ""},
		{"signs alone", "+ - ( )", directory.Phone{}, directory.NoDigits},
		{"letters", "call me", directory.Phone{}, directory.NotANumber},
		{"vanity", "0800 FLOWERS", directory.Phone{}, directory.NotANumber},
		{"emoji", "\U0001f4de 030 1", directory.Phone{}, directory.NotANumber},
		{"a plus in the middle", "030+1", directory.Phone{}, directory.NotANumber},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, reason := directory.ParsePhone(c.text); got != c.want || reason != c.reason {
				t.Errorf("%q is %+v %q, want %+v %q", c.text, got, reason, c.want, c.reason)
			}
		})
	}
}

func FuzzParsePhone(f *testing.F) {
	for _, s := range []string{"", "+49 (0)30 1234 ext. 12", "tel:+1;ext=5", "\u0660x\u0661", "ext. 12", "\xff", "xxxx1", ";ext=;ext=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, reason := directory.ParsePhone(s)
		if strings.Trim(strings.TrimPrefix(p.Number, "+"), "0123456789*#") != "" || strings.Trim(p.Extension, "0123456789") != "" {
			t.Errorf("%q is %+v", s, p)
		}
		if reason != "" && p.Number != "" {
			t.Errorf("%q is %+v and %s", s, p, reason)
		}
		if again, why := directory.ParsePhone(p.Number); p.Number != "" && (again != directory.Phone{Number: p.Number} || why != "") {
			t.Errorf("%q is %+v, and that %+v %s", s, p, again, why)
		}
	})
}

// fields plans for anna alone, whose extension is empty, and returns it as it should be
// and what is told.
func fields(t *testing.T, change func(*directory.User, *directory.Rules)) (directory.Extension, string) {
	t.Helper()
	v := small()
	v.Writes = nil
	*v.Extensions[0] = directory.Extension{Number: "201"}
	v.Users = v.Users[:1]
	change(v.Users[0], v.Rules["contoso"])
	r, err := directory.PlanExtensions(v)
	if err != nil || len(r.Steps) != 1 || r.Steps[0].Op != plan.Update {
		t.Fatalf("%s, %v", words(r), err)
	}
	e := *v.Extensions[0]
	r.Steps[0].Update().Apply(&e)
	var told []string
	for _, p := range r.Problems {
		if p.Object != "contoso/anna" || p.Detail == "" {
			t.Errorf("%+v", p)
		}
		told = append(told, fmt.Sprintf("%s %s", p.Field, p.Reason))
	}
	// What was written is as it should be.
	*v.Extensions[0] = e
	if again, err := directory.PlanExtensions(v); err != nil || len(again.Steps) != 0 {
		t.Errorf("planned again: %s, %v", words(again), err)
	}
	return e, strings.Join(told, ", ")
}

func TestFields(t *testing.T) {
	long := strings.Repeat("\U0001f600", 300)
	for _, c := range []struct {
		name   string
		change func(*directory.User, *directory.Rules)
		got    func(directory.Extension) string
		want   string
		told   string
	}{
		{"names are written in one line", func(u *directory.User, _ *directory.Rules) { u.GivenName, u.Surname = " Anna\tMaria ", "Be\x00rg\xff" },
			func(e directory.Extension) string { return e.FirstName + "|" + e.LastName }, "Anna Maria|Berg", ""},
		{"emoji and right-to-left names stay", func(u *directory.User, _ *directory.Rules) {
			u.GivenName, u.Surname = "A\U0001f600", "\u202b\u05d0\u05d1\u202c"
		},
			func(e directory.Extension) string { return e.FirstName + "|" + e.LastName }, "A\U0001f600|\u202b\u05d0\u05d1\u202c", ""},
		{"no mail address: the UPN", func(u *directory.User, _ *directory.Rules) { u.Mail = "" }, func(e directory.Extension) string { return e.Mail }, "anna@x", ""},
		{"the mobile number as it is written", func(u *directory.User, _ *directory.Rules) { u.Mobile = "+49 (0)171 1" }, func(e directory.Extension) string { return e.Mobile }, "+49 (0)171 1", ""},
		{"a mobile number that is none is left out", func(u *directory.User, _ *directory.Rules) { u.Mobile = "none" }, func(e directory.Extension) string { return e.Mobile }, "", "mobile not-a-number"},
		{"the office phone is dialled", func(u *directory.User, r *directory.Rules) {
			u.Phones, r.CallerID = []string{"+49 (0)30 1234", "030 9"}, true
		}, func(e directory.Extension) string { return e.CallerID }, "+49301234", ""},
		{"without its extension", func(u *directory.User, r *directory.Rules) { u.Phones, r.CallerID = []string{"030 1234;ext=7"}, true },
			func(e directory.Extension) string { return e.CallerID }, "0301234", "caller_id extension-cut"},
		{"an extension alone is no caller id", func(u *directory.User, r *directory.Rules) { u.Phones, r.CallerID = []string{"ext. 12"}, true },
			func(e directory.Extension) string { return e.CallerID }, "", "caller_id only-an-extension"},
		{"no office phone where it is off", func(u *directory.User, _ *directory.Rules) { u.Phones = []string{"030 1"} }, func(e directory.Extension) string { return e.CallerID }, "", ""},
		{"the department", func(u *directory.User, r *directory.Rules) {
			u.Department, r.Department, r.Group = "Lab ", true, "M365"
		},
			func(e directory.Extension) string { return e.Department }, "Lab", ""},
		{"the group of those without a department", func(_ *directory.User, r *directory.Rules) { r.Department, r.Group = true, "M365" },
			func(e directory.Extension) string { return e.Department }, "M365", ""},
		{"the group of all where departments are off", func(u *directory.User, r *directory.Rules) { u.Department, r.Group = "Lab", "M365" },
			func(e directory.Extension) string { return e.Department }, "M365", ""},
		{"language and sign-in", func(u *directory.User, r *directory.Rules) { u.Language, r.Language, r.SignIn = "de-DE", true, true },
			func(e directory.Extension) string { return fmt.Sprint(e.Language, e.SignIn) }, "de-DEtrue", ""},
		{"a name of 300 characters is cut between two", func(u *directory.User, r *directory.Rules) {
			u.GivenName, r.Limits = long, map[directory.Field]int{directory.FirstName: 50}
		}, func(e directory.Extension) string {
			return fmt.Sprint(utf8.RuneCountInString(e.FirstName), utf8.ValidString(e.FirstName))
		}, "50 true", "first_name shortened"},
		{"no space is left at the cut", func(u *directory.User, r *directory.Rules) {
			u.GivenName, r.Limits = "Anna Maria", map[directory.Field]int{directory.FirstName: 5}
		}, func(e directory.Extension) string { return e.FirstName }, "Anna", "first_name shortened"},
		{"as many characters as it takes are not cut", func(u *directory.User, r *directory.Rules) {
			u.GivenName, r.Limits = "\u00e4\u00e4\u00e4", map[directory.Field]int{directory.FirstName: 3}
		}, func(e directory.Extension) string { return e.FirstName }, "\u00e4\u00e4\u00e4", ""},
		{"half an address is left out", func(u *directory.User, r *directory.Rules) { r.Limits = map[directory.Field]int{directory.Mail: 5} },
			func(e directory.Extension) string { return e.Mail }, "", "mail too-long"},
		{"half a number as well", func(u *directory.User, r *directory.Rules) {
			u.Mobile, r.Limits = "0301234", map[directory.Field]int{directory.Mobile: 3}
		}, func(e directory.Extension) string { return e.Mobile }, "", "mobile too-long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, told := fields(t, c.change)
			if got := c.got(e); got != c.want || told != c.told {
				t.Errorf("%q, told %q; want %q and %q", got, told, c.want, c.told)
			}
		})
	}
}

func TestAPhoneSystemThatTakesFewFieldsIsGivenThose(t *testing.T) {
	v := small()
	v.Writes = []directory.Field{directory.Mobile}
	v.Users[0].Surname, v.Users[0].Mobile = "Tal", "030 1"
	if r, err := directory.PlanExtensions(v); err != nil || words(r) != "update anna 201 differs mobile=030 1" {
		t.Errorf("%s, %v", words(r), err)
	}
}

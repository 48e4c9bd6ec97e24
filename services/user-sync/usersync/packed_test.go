package usersync

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/wire"
)

// chance makes values of all kinds.
type chance struct{ *rand.Rand }

func (c chance) yes() bool { return c.IntN(2) == 0 }

func (c chance) text() string {
	return []string{"", "a", "Anna", "Anna Berg", "Berg", " ", "\x00", "Zoë 🎉", "שלום", strings.Repeat("x", 300), fmt.Sprint(c.Uint64())}[c.IntN(11)]
}

func (c chance) time() time.Time {
	return []time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(-5, 7).UTC(), time.Unix(c.Int64N(1<<33), c.Int64N(1e9)).UTC()}[c.IntN(4)]
}

func (c chance) line() identity.Line {
	return identity.Line{System: []identity.System{"hq", "branch"}[c.IntN(2)], Extension: identity.Extension(fmt.Sprint(c.IntN(1000)))}
}

func (c chance) fields() directory.Fields {
	f := directory.Fields{FirstName: c.text(), LastName: c.text(), DisplayName: c.text(), Mail: c.text(), Mobile: c.text(), CallerID: c.text(), Department: c.text(), Language: c.text(), SignIn: c.yes()}
	if c.yes() {
		f.DisplayName = f.FirstName + " " + f.LastName
	}
	return f
}

func (c chance) powers() presence.Powers {
	return presence.Powers{Write: presence.Set(c.IntN(256)), Read: presence.Set(c.IntN(256)), Ring: presence.Set(c.IntN(256))}
}

func (c chance) record(who identity.Person) (r links.Record) {
	for range c.IntN(3) {
		r.Lines = append(r.Lines, links.Line{Line: c.line(), Revision: c.Uint64(), Powers: c.powers(), How: c.text(), Since: c.time()})
	}
	for range c.IntN(3) {
		r.Owned = append(r.Owned, directory.Record{Person: who, Line: c.line(), How: directory.How(c.text()), Since: c.time(), Left: c.time(), WasEnabled: c.yes(), Last: c.fields(), Photo: c.text(), PhotoDue: c.yes(), Unsent: c.yes()})
	}
	for range c.IntN(3) {
		r.History = append(r.History, links.Former{Line: c.line(), How: c.text(), Since: c.time(), Until: c.time()})
	}
	return r.Normal()
}

// Whatever is packed is unpacked as it was, with a dictionary that is full as well.
func TestWhatIsPackedIsUnpackedAsItWas(t *testing.T) {
	full := newWords()
	for i := range mostWords {
		full.number(fmt.Sprint("word ", i))
	}
	for seed := range uint64(5000) {
		c := chance{rand.New(rand.NewPCG(seed, 0))}
		w := []*words{newWords(), full}[seed%2]
		who := person(c.IntN(1000))

		f := c.fields()
		u := wire.User{Person: who, UPN: c.text(), Mail: c.text(), GivenName: f.FirstName, Surname: f.LastName, DisplayName: f.DisplayName, Mobile: f.Mobile,
			OfficePhone: c.text(), Department: f.Department, Language: f.Language, Purpose: c.text(), Photo: c.text(), Enabled: c.yes(), Type: []string{"Guest", "Member"}[c.IntN(2)]}
		want := directory.User{Person: who, UPN: u.UPN, Mail: u.Mail, GivenName: u.GivenName, Surname: u.Surname, DisplayName: u.DisplayName, Mobile: u.Mobile,
			Department: u.Department, Language: u.Language, Purpose: directory.Purpose(u.Purpose), Photo: u.Photo, Enabled: u.Enabled, Guest: u.Type == "Guest"}
		if u.OfficePhone != "" {
			want.Phones = []string{u.OfficePhone}
		}
		if packed := packUser(u, w); !reflect.DeepEqual(packed.unpack("contoso", w), want) || key(packed) != string(who.User) || packed.gone() {
			t.Fatalf("seed %d: %+v\nwant %+v", seed, packed.unpack("contoso", w), want)
		}

		l := wire.Inventory{Line: c.line(), Fields: c.fields(), Marker: identity.User(c.text()), Enabled: c.yes(), Powers: c.powers()}
		if packed := packLine(l, w); packed.unpack(l.Line.System, w) != l || key(packed) != string(l.Line.Extension) || packed.gone() {
			t.Fatalf("seed %d: %+v\nwant %+v", seed, packed.unpack(l.Line.System, w), l)
		}

		k := kept{Record: c.record(who), revision: c.Uint64(), broken: c.yes()}
		packed := packRecord(who.User, k, w)
		if got := packed.unpack("contoso", w); !same(got, k) || key(packed) != string(who.User) {
			t.Fatalf("seed %d: %+v\nwant %+v", seed, got, k)
		}
		if other := c.record(who); !k.broken && (packed.content() == packContent(other, w)) != reflect.DeepEqual(other, k.Record) {
			t.Fatalf("seed %d: %+v and %+v are told apart, or not", seed, k.Record, other)
		}
		for _, system := range []identity.System{"hq", "branch"} {
			n := 0
			for _, r := range k.Owned {
				if r.Line.System != system {
					continue
				}
				if got, _ := packed.ownedOf(system, "contoso", n, w); got != r {
					t.Fatalf("seed %d: the %d. of %s is %+v, want %+v", seed, n+1, system, got, r)
				}
				n++
			}
			if _, got := packed.ownedOf(system, "contoso", 0, w); got != n {
				t.Fatalf("seed %d: %d of %s, want %d", seed, got, system, n)
			}
		}
	}
	if len(full.all) != mostWords {
		t.Errorf("there are %d words", len(full.all))
	}
}

func same(a, b kept) bool {
	return a.broken == b.broken && a.revision == b.revision && reflect.DeepEqual(a.Normal(), b.Normal()) && len(a.History) == len(b.History)
}

func TestOfWhoIsGoneNothingElseIsKept(t *testing.T) {
	w := newWords()
	user := packUser(wire.User{Person: person(1), Gone: true, Mail: "anna@x", Enabled: true}, w)
	line := packLine(wire.Inventory{Line: lineOf("101"), Gone: true, Fields: directory.Fields{Mail: "anna@x"}}, w)
	if u := user.unpack("contoso", w); !user.gone() || u.Mail != "" || u.Person != person(1) {
		t.Errorf("%+v", u)
	}
	if l := line.unpack("hq", w); !line.gone() || !l.Gone || l.Mail != "" || l.Line != lineOf("101") {
		t.Errorf("%+v", l)
	}
}

// Who has several numbers on a phone system is listed as often, and each once.
func TestTheListsOfAPlanAreInOrderAndWhole(t *testing.T) {
	w := newWords()
	r := records{words: w, known: map[identity.Tenant]*shelf[packedRecord]{}}
	var want []directory.Record
	for _, tenant := range []identity.Tenant{"contoso", "fabrikam"} {
		for i := range 5 {
			who := of(tenant, i)
			var owned []directory.Record
			for n := range i {
				owned = append(owned, directory.Record{Person: who, Line: lineOf(identity.Extension(fmt.Sprint(100 + n))), How: directory.Created})
			}
			want = append(want, owned...)
			elsewhere := directory.Record{Person: who, Line: identity.Line{System: "branch", Extension: "1"}}
			r.keep(tenant, packRecord(who.User, kept{Record: links.Record{Owned: append(owned, elsewhere)}.Normal()}, w))
		}
	}
	list := r.owned("hq")
	if list.Len() != len(want) {
		t.Fatalf("%d are listed, want %d", list.Len(), len(want))
	}
	for i := range want {
		if got := list.At(i); got != want[i] {
			t.Errorf("%d: %+v, want %+v", i, got, want[i])
		}
	}
}

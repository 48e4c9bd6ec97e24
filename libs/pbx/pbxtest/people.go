package pbxtest

import (
	"fmt"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// staff is a driver that writes extensions, with what a case needs besides.
type staff struct {
	People
	pbx.ExtensionWriter
	powers pbx.WriterPowers
}

// hired returns the driver under test as one that writes extensions, or false where it
// declares that it does not: implementedIsDeclared sees to it.
func hired(h Harness) (staff, bool) {
	writer, writes := h.Driver().(pbx.ExtensionWriter)
	people, shows := h.(People)
	return staff{people, writer, powers(h).Writer}, writes && shows
}

// sample is an extension with a value in every field that can be written.
func (s staff) sample(number identity.Extension) directory.Extension {
	return directory.Extension{Number: number, Enabled: true, Marker: s.marker("0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11"), Fields: s.writable(directory.Fields{
		FirstName: "Amélie", LastName: "O'Hara", DisplayName: "Amélie O'Hara", Mail: "amelie." + string(number) + "@contoso.example",
		Mobile: "+49 170 1234567", CallerID: "+49301234567", Department: "Research", Language: "de-DE", SignIn: true,
	})}
}

// marker is a marker, or none where the phone system keeps none.
func (s staff) marker(user identity.User) identity.User {
	if s.powers.Marker == pbx.NoMarker {
		return ""
	}
	return user
}

// writable leaves only the fields that can be written.
func (s staff) writable(f directory.Fields) directory.Fields {
	for field, text := range texts(&f) {
		if !s.powers.Has(field) {
			*text = ""
		}
	}
	f.SignIn = f.SignIn && s.powers.Has(directory.SignIn)
	return f
}

// texts are the fields that are texts.
func texts(f *directory.Fields) map[directory.Field]*string {
	return map[directory.Field]*string{directory.FirstName: &f.FirstName, directory.LastName: &f.LastName, directory.DisplayName: &f.DisplayName,
		directory.Mail: &f.Mail, directory.Mobile: &f.Mobile, directory.CallerID: &f.CallerID, directory.Department: &f.Department, directory.Language: &f.Language}
}

// alike says in what of that which can be written two extensions differ; "" in nothing.
func (s staff) alike(got, want directory.Extension) string {
	got.Fields, want.Fields = s.writable(got.Fields), s.writable(want.Fields)
	if s.powers.Marker == pbx.NoMarker {
		got.Marker, want.Marker = "", ""
	}
	if got == want {
		return ""
	}
	return fmt.Sprintf("it is %+v and should be %+v", got, want)
}

// is checks what the phone system has under a number, from behind and as it is read.
func (s staff) is(t T, want directory.Extension) {
	t.Helper()
	got, ok := s.Listed(want.Number)
	if difference := s.alike(got, want); !ok || difference != "" {
		t.Errorf("on the phone system %s exists %v: %s", want.Number, ok, difference)
	}
	read, err := s.Extension(t.Context(), want.Number)
	if difference := s.alike(read, want); err != nil || difference != "" {
		t.Errorf("read %s (%v): %s", want.Number, err, difference)
	}
}

// isNot checks that the phone system has nothing under a number.
func (s staff) isNot(t T, ext identity.Extension) {
	t.Helper()
	if got, ok := s.Listed(ext); ok {
		t.Errorf("there is %+v", got)
	}
}

// create makes an extension that must be accepted.
func (s staff) create(t T, e directory.Extension) directory.Extension {
	t.Helper()
	if err := s.CreateExtension(t.Context(), e); err != nil {
		t.Fatalf("create %s: %v", e.Number, err)
	}
	return e
}

// update changes an extension in a way that must be accepted.
func (s staff) update(t T, ext identity.Extension, to directory.Extension, fields ...directory.Field) {
	t.Helper()
	if err := s.UpdateExtension(t.Context(), ext, directory.Update{Fields: fields, To: to}); err != nil {
		t.Fatalf("change %v of %s: %v", fields, ext, err)
	}
}

func made(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	free := s.Free(2)
	bare := s.create(t, directory.Extension{Number: free[0], Enabled: true})
	s.is(t, bare)
	full := s.create(t, s.sample(free[1]))
	s.is(t, full)
	listed := make(map[identity.Extension]directory.Extension)
	err := h.Driver().(pbx.Extensions).Extensions(t.Context(), func(e directory.Extension) error {
		listed[e.Number] = e
		return nil
	})
	if err != nil {
		t.Errorf("extensions: %v", err)
	}
	for _, want := range []directory.Extension{bare, full} {
		got := listed[want.Number]
		if s.powers.Marker != pbx.ListedMarker {
			got.Marker = want.Marker
		}
		if difference := s.alike(got, want); difference != "" {
			t.Errorf("in the listing: %s", difference)
		}
	}
}

func takenNumber(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	ours := s.create(t, s.sample(s.Free(1)[0]))
	theirs, _ := s.Listed(h.Extensions()[0])
	for _, there := range []directory.Extension{ours, theirs} {
		again := s.sample(there.Number)
		again.FirstName, again.Enabled, again.Marker = "Somebody", false, s.marker("11111111-7b1d-4c7e-9a55-3f0d2b6c8e11")
		wantKind(t, s.CreateExtension(t.Context(), again), fault.Conflict, "create "+string(there.Number)+" again")
		s.is(t, there)
	}
}

func changedTwice(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	e := s.create(t, s.sample(s.Free(1)[0]))
	e.FirstName, e.Mail = "Berta", "berta@contoso.example"
	update := directory.Update{Fields: []directory.Field{directory.FirstName, directory.Mail}, To: e}
	for range 2 {
		if err := s.UpdateExtension(t.Context(), e.Number, update); err != nil {
			t.Errorf("change: %v", err)
		}
	}
	s.is(t, e)
}

func changedOnly(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	e := s.create(t, s.sample(s.Free(1)[0]))
	s.Edit(e.Number, func(there *directory.Extension) { there.Mobile, e.Mobile = "+49 170 7654321", "+49 170 7654321" })
	e.LastName = "Ó Briain"
	s.update(t, e.Number, directory.Extension{Fields: directory.Fields{LastName: e.LastName}}, directory.LastName)
	s.is(t, e)
	e.Mail = ""
	s.update(t, e.Number, directory.Extension{}, directory.Mail) // an empty field is one without a value
	s.is(t, e)
}

func disabled(t T, h Harness) {
	s, ok := hired(h)
	if !ok || !s.powers.Has(directory.Enabled) {
		return
	}
	free := s.Free(2)
	e, asleep := s.create(t, s.sample(free[0])), s.sample(free[1])
	asleep.Enabled = false
	s.is(t, s.create(t, asleep))
	for _, on := range []bool{false, true} {
		e.Enabled = on
		s.update(t, e.Number, directory.Extension{Enabled: on}, directory.Enabled)
		s.is(t, e)
	}
}

func marked(t T, h Harness) {
	s, ok := hired(h)
	if !ok || s.powers.Marker == pbx.NoMarker {
		return
	}
	theirs, _ := s.Listed(h.Extensions()[1])
	for _, marker := range []identity.User{"22222222-7b1d-4c7e-9a55-3f0d2b6c8e11", "33333333-7b1d-4c7e-9a55-3f0d2b6c8e11"} {
		s.update(t, theirs.Number, directory.Extension{Marker: marker})
		theirs.Marker = marker
		s.is(t, theirs)
	}
	s.update(t, theirs.Number, directory.Extension{Fields: directory.Fields{FirstName: "Dora"}}, directory.FirstName)
	theirs.FirstName = "Dora"
	s.is(t, theirs) // the marker stays where a change has none
}

func departments(t T, h Harness) {
	s, ok := hired(h)
	if !ok || !s.powers.Has(directory.Department) {
		return
	}
	e := s.create(t, s.sample(s.Free(1)[0]))
	for _, department := range []string{"Käse & Wein", "Research", "", "Käse & Wein"} {
		e.Department = department
		s.update(t, e.Number, e, directory.Department)
		s.is(t, e)
	}
}

func unknownExtension(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	_, err := s.Extension(t.Context(), h.Absent())
	wantKind(t, err, fault.NotFound, "extension")
	err = s.UpdateExtension(t.Context(), h.Absent(), directory.Update{Fields: []directory.Field{directory.LastName}})
	wantKind(t, err, fault.NotFound, "update")
	s.isNot(t, h.Absent())
}

func unwritableField(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	ext := h.Extensions()[0]
	before, requests := must(s.Listed(ext)), h.Requests()
	for _, field := range slices.Concat(allFields(), []directory.Field{"shoe_size"}) {
		if !s.powers.Has(field) {
			err := s.UpdateExtension(t.Context(), ext, directory.Update{Fields: []directory.Field{directory.LastName, field}})
			wantKind(t, err, fault.Unsupported, "change "+string(field))
		}
	}
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests were sent", sent)
	}
	s.is(t, before)
}

func allFields() []directory.Field {
	return []directory.Field{directory.FirstName, directory.LastName, directory.DisplayName, directory.Mail, directory.Mobile,
		directory.CallerID, directory.Department, directory.Language, directory.SignIn, directory.Enabled}
}

func must[V any](v V, ok bool) V {
	if !ok {
		panic("pbxtest: the harness does not show an extension that it lists")
	}
	return v
}

func licenceFull(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	free := s.Free(3)
	s.Room(1)
	last := s.create(t, s.sample(free[0]))
	err := s.CreateExtension(t.Context(), s.sample(free[1]))
	if wantKind(t, err, fault.Denied, "create one too many"); !isLicenceFull(err) {
		t.Errorf("it is not said that the licence is full: %v", err)
	}
	s.isNot(t, free[1])
	last.LastName = "Unmoved"
	s.update(t, last.Number, last, directory.LastName)
	s.Room(1)
	s.is(t, s.create(t, s.sample(free[2])))
	s.is(t, last)
}

func makingTurnedAway(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	warm(t, h)
	e := directory.Extension{Number: s.Free(1)[0], Enabled: true}
	h.Inject(Down)
	wantKind(t, s.CreateExtension(t.Context(), e), fault.Unavailable, "create")
	h.Inject(None)
	s.isNot(t, e.Number)
}

func makingLostAnswer(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	warm(t, h)
	e := directory.Extension{Number: s.Free(1)[0], Enabled: true}
	h.Inject(LostAnswer)
	wantKind(t, s.CreateExtension(t.Context(), e), fault.Timeout, "create")
	h.Inject(None)
	s.is(t, e) // it was made: whoever reads knows, and whoever asks again is told
	wantKind(t, s.CreateExtension(t.Context(), e), fault.Conflict, "create again")
}

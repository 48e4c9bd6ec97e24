package pbxtest

import "offhook.dev/libs/pbx"

// power is an optional power of the driver under test.
type power struct {
	name                  string
	declared, implemented bool
	shown                 bool // the harness shows what it does, as far as that is needed
}

func powersOf(h Harness) []power {
	c := powers(h)
	return []power{
		{"Extensions", c.Extensions, has[pbx.Extensions](h.Driver()), true},
		{"NativeSync", c.NativeSync, has[pbx.NativeSync](h.Driver()), true},
		{"Watcher", c.Watch.Any(), has[pbx.Watcher](h.Driver()), has[Watchable](h)},
		{"Dialer", c.Dial, has[pbx.Dialer](h.Driver()), has[Dialling](h)},
		{"Several", c.Several > 0, has[pbx.Several](h.Driver()), true},
		{"ExtensionWriter", c.Writer.Any(), has[pbx.ExtensionWriter](h.Driver()), has[People](h)},
		{"Phonebook", c.Phonebook.Any(), has[pbx.Phonebook](h.Driver()), has[Books](h)},
		{"Photos", c.Photo.Any(), has[pbx.Photos](h.Driver()), has[Pictures](h)},
	}
}

// has says whether a value has the methods of an interface.
func has[I any](value any) bool { _, ok := value.(I); return ok }

func implementedIsDeclared(t T, h Harness) {
	for _, p := range powersOf(h) {
		if p.implemented && !p.declared {
			t.Errorf("%s: implemented, and not declared", p.name)
		}
	}
}

// declaredIsImplemented looks besides at what is declared of each power.
func declaredIsImplemented(t T, h Harness) {
	for _, p := range powersOf(h) {
		switch {
		case p.declared && !p.implemented:
			t.Errorf("%s: declared, and not implemented", p.name)
		case p.declared && !p.shown:
			t.Errorf("%s: the harness cannot show what it does", p.name)
		}
	}
	c := powers(h)
	if c.Watch.Any() && c.NoWatch != "" {
		t.Errorf("it watches %+v, and says why not: %s", c.Watch, c.NoWatch)
	}
	if c.Writer.Any() && (!c.Extensions || c.Writer.Batch < 2) {
		t.Errorf("extensions are written, and cannot be listed or deleted together: %+v", c.Writer)
	}
	if c.Phonebook.Any() && (len(c.Phonebook.Numbers) == 0 || c.Phonebook.Batch < 2) {
		t.Errorf("phonebooks without numbers, or without deleting together: %+v", c.Phonebook)
	}
	if c.Powers.Write == 0 {
		t.Errorf("no status can be written")
	}
	if hidden := c.Powers.Write &^ c.Powers.Read; hidden != 0 {
		t.Errorf("%v can be written but not read, so no write could ever be checked", hidden.Slice())
	}
	if odd := c.Powers.Ring &^ c.Powers.Read; odd != 0 {
		t.Errorf("%v ring but cannot be read", odd.Slice())
	}
}

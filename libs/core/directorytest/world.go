package directorytest

import (
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// World is a directory, a phone system and what Offhook remembers.
type World struct {
	// View is the world as it can be seen. Taken is made of Queues and Refused.
	directory.View
	Queues  []identity.Extension // numbers of the phone system that are no extensions
	Refused []identity.Extension // numbers that the phone system refused
	Markers bool                 // the phone system has a place for markers
	Seats   int                  // of its licence; 0: any number
}

// See returns the world as it can be seen now. What is planned with it does not change
// with the world.
func (w *World) See() directory.View {
	c := w.Clone()
	v := c.View
	v.Taken = append(slices.Clone(c.Queues), c.Refused...)
	if w.Seats > 0 {
		free := w.Seats - len(w.Extensions)
		v.Free = &free
	}
	return v
}

// Clone returns a world in which everything can happen without this one.
func (w *World) Clone() *World {
	c := *w
	c.Users = clones(w.Users)
	c.Extensions = clones(w.Extensions)
	c.Records = clones(w.Records)
	c.Rules = maps.Clone(w.Rules)
	for tenant, r := range c.Rules {
		rules := *r
		rules.Scope.Except = maps.Clone(r.Scope.Except)
		c.Rules[tenant] = &rules
	}
	c.Explicit, c.Removed = slices.Clone(w.Explicit), slices.Clone(w.Removed)
	c.Queues, c.Refused = slices.Clone(w.Queues), slices.Clone(w.Refused)
	return &c
}

func clones[T any](all []*T) []*T {
	copies := make([]*T, len(all))
	for i, one := range all {
		c := *one
		copies[i] = &c
	}
	return copies
}

// At returns the extension of a number, or nil.
func (w *World) At(number identity.Extension) *directory.Extension {
	for _, e := range w.Extensions {
		if e.Number == number {
			return e
		}
	}
	return nil
}

// User returns what is known of a person, or nil.
func (w *World) User(who identity.Person) *directory.User {
	for _, u := range w.Users {
		if u.Person == who {
			return u
		}
	}
	return nil
}

// Of returns a person's records.
func (w *World) Of(who identity.Person) []*directory.Record {
	var all []*directory.Record
	for _, r := range w.Records {
		if r.Person == who {
			all = append(all, r)
		}
	}
	return all
}

// Record returns that of a person and number, or nil.
func (w *World) Record(who identity.Person, number identity.Extension) *directory.Record {
	for _, r := range w.Of(who) {
		if r.Line.Extension == number {
			return r
		}
	}
	return nil
}

// Store keeps a record, or forgets it.
func (w *World) Store(r directory.Record, forget bool) {
	w.Records = slices.DeleteFunc(w.Records, func(o *directory.Record) bool { return o.Person == r.Person && o.Line == r.Line })
	if !forget {
		w.Records = append(w.Records, &r)
	}
}

// Effect is what is done to the phone system.
type Effect struct {
	Op     plan.Op
	Person identity.Person
	Number identity.Extension
	Update directory.Update
	Key    string // of the change, as the brake remembers it
}

// Do does it, as phone systems do: what is there already by somebody else is refused, what
// is not there cannot be changed, and the same twice is the same once.
func (w *World) Do(f Effect) {
	e := w.At(f.Number)
	if f.Op.Removes() {
		w.Removed = append(w.Removed, plan.Removal{Key: f.Key, At: w.Now})
	}
	switch {
	case f.Op == plan.Delete:
		w.Extensions = slices.DeleteFunc(w.Extensions, func(e *directory.Extension) bool { return e.Number == f.Number })
		return
	case e == nil && (f.Op == plan.Create || f.Op == plan.Return):
		if slices.Contains(w.Queues, f.Number) {
			w.Refused = append(w.Refused, f.Number)
			return
		}
		e = &directory.Extension{Number: f.Number}
		w.Extensions = append(w.Extensions, e)
	case e == nil:
		return
	case f.Op == plan.Create && !w.same(e, f):
		w.Refused = append(w.Refused, f.Number)
		return
	}
	f.Update.Apply(e)
	if !w.Markers {
		e.Marker = ""
	}
}

// same says whether the phone system takes an extension for the one that is to be made.
func (w *World) same(e *directory.Extension, f Effect) bool {
	if w.Markers {
		return e.Marker == f.Person.User
	}
	return e.Mail != "" && strings.EqualFold(e.Mail, f.Update.To.Mail)
}

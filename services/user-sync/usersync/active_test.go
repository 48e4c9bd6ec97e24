package usersync

import (
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/wire"
)

func TestTheFirstPlanWaitsForADirectoryToBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, f := newActive(), newFacts()
		heard := func(m wire.Message) {
			subject, data := m.Encode()
			if err := f.fold(bus.Message{Subject: subject, Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		ready := func(want bool, when string) {
			t.Helper()
			if got := a.ready(f, 3*time.Second); got != want {
				t.Errorf("%s: ready is %v", when, got)
			}
		}
		ready(false, "nothing was ever heard")
		heard(extension("101", "anna@x"))
		time.Sleep(2 * fill)
		ready(false, "nobody is known, for however long")
		a.began = time.Now()
		heard(user(person(1), "anna@x"))
		ready(false, "a first page came just now")
		time.Sleep(2 * time.Second)
		heard(user(person(2), "ben@x"))
		time.Sleep(2 * time.Second)
		ready(false, "another one two seconds ago")
		time.Sleep(time.Second)
		ready(true, "it is quiet")
		heard(user(person(3), "carl@x"))
		ready(true, "once it was read changes are planned as they come")
	})
	synctest.Test(t, func(t *testing.T) {
		a, f := newActive(), newFacts()
		for range 40 { // a directory that never rests
			subject, data := user(person(1), "anna@x").Encode()
			if err := f.fold(bus.Message{Subject: subject, Data: data}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		if !a.ready(f, 3*time.Second) {
			t.Error("not ready after more than a minute")
		}
	})
}

package writer

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// saysYes is a phone system that takes statuses and does nothing.
func saysYes(_ context.Context, op string, _ identity.Extension, request func() error) error {
	if op == "set-status" {
		return nil
	}
	return request()
}

// blamed waits until the phone system is said to forget what it takes, or not any more.
func (s *stage) blamed(want bool) {
	s.t.Helper()
	s.eventually(func() string {
		failing := fmt.Sprint(s.health.Failing())
		if strings.Contains(failing, errForgetful.Error()) != want {
			return "failing is " + failing
		}
		return ""
	})
}

// One extension that shows again what it showed before is somebody's choice. When several
// do so in a row it is the phone system, and what it forgets is wanted all the same.
func TestAPhoneSystemThatTakesStatusesAndForgetsThemIsFoundOut(t *testing.T) {
	s := newStage(t, suspicious+2)
	s.opts.MinutePass = 3 * time.Second // more often, and who writes again and again would be taken for a fight
	s.run("a")
	s.phones.stand(saysYes)
	for i := range suspicious + 2 {
		s.ends(s.covering(i, presence.DND), wire.Applied)
		origin := presence.Person
		if i >= suspicious-1 {
			origin = presence.Revert
		}
		s.tells(i, presence.Available, origin)
	}
	s.blamed(true)

	s.phones.stand(nil) // it is mended
	for i := suspicious - 1; i < suspicious+2; i++ {
		s.shows(i, presence.DND)
		s.tells(i, presence.DND, presence.Ours)
	}
	s.blamed(false)
}

// The control: people who change back at once what was written are people, however many,
// as long as what is written shows now and then.
func TestPeopleWhoChangeBackAtOnceAreBelieved(t *testing.T) {
	s := newStage(t, 3*suspicious)
	s.run("a")
	for i := range 3 * suspicious {
		stubborn := i%suspicious != 0
		if stubborn {
			s.phones.stand(saysYes) // as if it had been changed back before it was read
		}
		s.ends(s.covering(i, presence.DND), wire.Applied)
		if !stubborn {
			s.tells(i, presence.DND, presence.Ours)
			s.listed()
			continue
		}
		s.tells(i, presence.Available, presence.Person)
		s.phones.stand(nil)
	}
	s.blamed(false)
}

// listed waits until all statuses were read.
func (s *stage) listed() {
	s.t.Helper()
	var ended atomic.Int32
	s.phones.stand(func(_ context.Context, op string, _ identity.Extension, request func() error) error {
		err := request()
		if op == "statuses" {
			ended.Add(1)
		}
		return err
	})
	s.eventually(func() string {
		if ended.Load() < 2 { // when the second one ends the first one is judged
			return "statuses were not listed"
		}
		return ""
	})
	s.phones.stand(nil)
}

func TestWhoeverUndoesWhatWasWritten(t *testing.T) {
	line := func(i int) identity.Line { return lineOf(extension(i)) }
	var f forgetful
	for range 2 * suspicious {
		if f.undone(line(0)) {
			t.Fatal("one extension is not the phone system")
		}
	}
	for i := range suspicious - 1 {
		if f.undone(line(i)) || f.health() != nil {
			t.Fatalf("%d extensions are not the phone system", i+1)
		}
	}
	f.kept()
	for i := range suspicious - 1 {
		if f.undone(line(i)) {
			t.Fatal("what was seen meanwhile counts")
		}
	}
	if !f.undone(line(suspicious)) || f.health() == nil || !f.undone(line(0)) {
		t.Error("so many in a row are the phone system")
	}
}

package writer

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/wire"
)

func TestNothingIsWrittenWhileThePhoneSystemSyncsStatusesItself(t *testing.T) {
	s := newStage(t, 1)
	s.phones.SetSync(pbx.SyncState{Presence: true})
	s.opts.MinutePass = 20 * time.Millisecond
	s.run("a")
	s.tells(0, presence.Available, presence.Person) // it is read all the same
	s.covering(0, presence.DND)
	// A choice made after the want, and told, shows that the want had its time.
	s.phones.Choose(extension(0), presence.Away)
	s.tells(0, presence.Away, presence.Person)
	if n := len(s.phones.written(extension(0))); n != 0 {
		t.Fatalf("%d writes beside the phone system's own sync", n)
	}
	w := s.covering(0, presence.DND)
	s.phones.SetSync(pbx.SyncState{Users: true}) // users are none of the writer's business
	s.ends(w, wire.Applied)
}

func TestTheAdministratorCanLetTwoMastersWrite(t *testing.T) {
	s := newStage(t, 1)
	s.phones.SetSync(pbx.SyncState{Calendar: true})
	s.opts.Systems[0].IgnoreNativeSync = true
	s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
}

// secretive is a phone system that answers nothing about its own sync, for a while.
type secretive struct {
	*tap
	mute *atomic.Bool
}

func (d secretive) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	if d.mute.Load() {
		return pbx.SyncState{}, fault.Errorf(fault.Denied, "native sync", "the role does not permit this")
	}
	return d.tap.NativeSync(ctx)
}

// While the sync cannot be read nothing is written, and everything else is well: only the
// health tells the administrator why no status arrives.
func TestTheHealthSaysThatNothingIsWrittenWhileTheSyncCannotBeRead(t *testing.T) {
	s := newStage(t, 1)
	var mute atomic.Bool
	mute.Store(true)
	s.opts.MinutePass = 20 * time.Millisecond
	s.opts.Systems[0].Open = func(ctx context.Context) (pbx.Driver, error) {
		driver, err := s.phones.open(ctx)
		return secretive{driver.(*tap), &mute}, err
	}
	stop := s.run("a")
	s.says("the role does not permit this", "ignore_native_sync")
	s.tells(0, presence.Available, presence.Person)
	w := s.covering(0, presence.DND)
	if n := len(s.phones.written(extension(0))); n != 0 {
		t.Errorf("%d writes", n)
	}
	s.phones.SetSync(pbx.SyncState{Calendar: true})
	mute.Store(false)
	s.says(errTwoMasters.Error())
	s.phones.SetSync(pbx.SyncState{})
	s.ends(w, wire.Applied)
	s.says("")
	stop()
}

// A system that another instance has by now is no part of this one's health.
func TestTheHealthForgetsTheSyncOfASystemThatIsGivenUp(t *testing.T) {
	s := newStage(t, 1)
	s.phones.SetSync(pbx.SyncState{Presence: true})
	stop := s.run("a")
	s.says(errTwoMasters.Error())
	stop()
	s.says("")
}

// says waits until the health of the native sync has all of some words; "" is that it is well.
func (s *stage) says(words ...string) {
	s.t.Helper()
	s.eventually(func() string {
		said := s.health.Failing()["pbx-writer: system hq, native sync"]
		for _, word := range words {
			if !strings.Contains(said, word) || word == "" && said != "" {
				return fmt.Sprintf("the health says %q, want %q", said, words)
			}
		}
		return ""
	})
}

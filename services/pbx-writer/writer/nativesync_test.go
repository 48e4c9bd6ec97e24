package writer

import (
	"testing"
	"time"

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

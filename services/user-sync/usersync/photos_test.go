package usersync

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// sentPhoto waits until a photo is on its way to an extension, takes it away as
// pbx-writer does, and says what came of it.
func (s *stage) sentPhoto(number identity.Extension, etag string, result wire.ChangeResult) {
	s.t.Helper()
	subject := "pbx.want.photo." + wire.LineKey(lineOf(number))
	var want wire.PhotoWant
	bustest.Eventually(s.t, 20*time.Second, func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Changes, subject)
		if err != nil {
			return err.Error()
		}
		if want, err = wire.DecodePhotoWant(m.Data); err != nil || want.ETag != etag {
			return fmt.Sprintf("%s is to have %+v, %v; want %s", number, want, err, etag)
		}
		return ""
	})
	stream, err := s.bus.JetStream().Stream(s.t.Context(), string(topology.Changes))
	if err == nil {
		err = stream.Purge(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish(wire.ExtensionOutcome{ID: want.ETag, Person: want.Person, Line: want.Line, Op: directory.SetPhoto, Result: result, At: s.bus.Now()})
}

// pictured waits until it is remembered which picture an extension has, and whether
// another one is due.
func (s *stage) pictured(who identity.Person, etag string, due bool) {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, func() string {
		var record links.Record
		e, err := s.bucket.Get(s.t.Context(), wire.PersonKey(who))
		if err == nil {
			err = json.Unmarshal(e.Value, &record)
		}
		if err != nil || len(record.Owned) != 1 || record.Owned[0].Photo != etag || record.Owned[0].PhotoDue != due || s.mirror.PhotoDue(who) != due {
			return fmt.Sprintf("%+v, %v; want the picture %q, another one due %v", record.Owned, err, etag, due)
		}
		return ""
	})
}

func (s *stage) photo(etag string) {
	anna := named(1, "Anna")
	anna.Photo = etag
	image := []byte("\xff\xd8" + etag)
	if etag == "" {
		image = nil
	}
	s.publish(wire.Photo{Person: person(1), ETag: etag, MIME: "image/jpeg", Image: image}, anna)
}

func TestAPictureIsRememberedWhereItWasTakenAndDueAgainWhereItWasNot(t *testing.T) {
	s := newStage(t)
	p, _ := s.withAnna()

	// Refused: as soon as a run is due it is known that the picture is missing.
	s.photo("1")
	s.sentPhoto("200", "1", wire.ChangeRefused)
	s.pictured(person(1), "", false)
	s.due()
	s.pictured(person(1), "", true)
	s.photo("1") // read once more
	s.sentPhoto("200", "1", wire.ChangeDone)
	s.pictured(person(1), "1", false)
	s.due()
	s.pictured(person(1), "1", false)

	// The same once more is not sent; that there is none any more is.
	s.photo("1")
	s.photo("")
	s.sentPhoto("200", "", wire.ChangeFailed)
	s.due()
	s.pictured(person(1), "1", true)
	s.photo("")
	s.sentPhoto("200", "", wire.ChangeDone)
	s.pictured(person(1), "", false)

	// One that does not get there, and the user has none again: nothing is due.
	s.photo("2")
	s.sentPhoto("200", "2", wire.ChangeForeign)
	s.due()
	s.pictured(person(1), "", true)
	s.photo("")
	s.pictured(person(1), "", false)
	if did := p.did(); len(did) != 1 {
		t.Errorf("%v", did)
	}
}

// taken waits until every picture that was read is dealt with, and says whether one is on
// its way to an extension.
func (s *stage) taken(number identity.Extension) bool {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, func() string {
		subjects, err := s.bus.Subjects(s.t.Context(), topology.Pages, topology.Wildcard("m365.fact.photo.<tenant>.<user>"))
		if err != nil || len(subjects) > 0 {
			return fmt.Sprintf("waiting: %v, %v", subjects, err)
		}
		return ""
	})
	_, err := s.bus.Last(s.t.Context(), topology.Changes, "pbx.want.photo."+wire.LineKey(lineOf(number)))
	return err == nil
}

// made waits until it is remembered that somebody's extension was made.
func (s *stage) made(who identity.Person) {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, func() string {
		var record links.Record
		e, err := s.bucket.Get(s.t.Context(), wire.PersonKey(who))
		if err == nil {
			err = json.Unmarshal(e.Value, &record)
		}
		if err != nil || len(record.Owned) != 1 || !record.Owned[0].Active() {
			return fmt.Sprintf("%+v, %v", record.Owned, err)
		}
		return ""
	})
}

func TestAPictureIsAChangeLikeAnyOther(t *testing.T) {
	for _, c := range []struct {
		name    string
		edit    func(*config.Users)
		sent    bool // by itself
		ordered bool // when somebody has had a plan applied
	}{
		{"with the policy sync it is sent", func(*config.Users) {}, true, true},
		{"with upsert-only it is sent", func(u *config.Users) { u.Policy = "upsert-only" }, true, true},
		{"with create-only, which changes nothing, it is not", func(u *config.Users) { u.Policy = "create-only" }, false, false},
		{"with the policy off it is sent to whom an order found it missing", func(u *config.Users) { u.Policy = "off" }, false, true},
		{"where photos are switched off it is not", func(u *config.Users) { u.Photos = false }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			p := s.phones()
			p.listed()
			s.publish(named(1, "Anna"))
			end := s.live("test", synchronising("sync"))
			p.eventually("200 Anna")
			s.made(person(1))
			end()
			s.live("test", edited(c.edit))
			s.nothingToDo()
			s.photo("other")
			if got := s.taken("200"); got != c.sent {
				t.Errorf("it is sent: %v", got)
			}
			s.due()
			s.photo("other") // what is missing is read once more
			if got := s.taken("200"); got != c.ordered {
				t.Errorf("after an order it is sent: %v", got)
			}
		})
	}
}

// due has a run made that tries again what failed, as at night.
func (s *stage) due() {
	s.t.Helper()
	s.eventually(wire.SyncOrder{Op: wire.SyncNow}, func(o wire.SyncOutcome) bool { return o.State == wire.SyncDone })
}

// What came of a picture is told while nobody is there to hear it.
func TestAPictureThatWasSetMeanwhileIsRemembered(t *testing.T) {
	s := newStage(t)
	_, stop := s.withAnna()
	s.photo("1")
	s.wantsPhoto("200", "1")
	stop()
	s.sentPhoto("200", "1", wire.ChangeDone)
	s.mirror = links.NewMirror()
	s.start(synchronising("sync"))
	s.pictured(person(1), "1", false)
}

// withAnna starts the service, of which Anna has an extension, without a picture.
func (s *stage) withAnna() (p *phones, stop func()) {
	s.t.Helper()
	p = s.phones()
	p.listed()
	s.publish(named(1, "Anna"))
	stop = s.start(synchronising("sync"))
	p.eventually("200 Anna")
	s.owned("200", person(1))
	return p, stop
}

// wantsPhoto waits until a picture as photo publishes it is wanted of an extension.
func (s *stage) wantsPhoto(number identity.Extension, etag string) {
	s.t.Helper()
	bustest.Eventually(s.t, 10*time.Second, func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Changes, "pbx.want.photo."+wire.LineKey(lineOf(number)))
		if err != nil {
			return err.Error()
		}
		want, err := wire.DecodePhotoWant(m.Data)
		if err != nil || want.ETag != etag || string(want.Image) != "\xff\xd8"+etag {
			return fmt.Sprintf("%+v, %v", want, err)
		}
		return ""
	})
}

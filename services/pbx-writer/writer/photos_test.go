package writer

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// pictured is the outcome of a photo; the picture is of JPEG's type unless it is empty.
func (s *stage) pictured(w wire.PhotoWant) (o wire.ExtensionOutcome) {
	s.t.Helper()
	if w.MIME == "" && len(w.Image) > 0 {
		w.MIME = "image/jpeg"
	}
	subject := wire.PhotoOutcomeSubject(w.Line)
	before, _ := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
	s.send(w)
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
		if err != nil || m.Sequence == before.Sequence {
			return fmt.Sprintf("no outcome of photo %s: %v", w.ETag, err)
		}
		o, err = wire.DecodeExtensionOutcome(m.Data)
		return errText(err)
	})
	if o.Op != directory.SetPhoto || o.ID != w.ETag || o.Person != w.Person || o.Line != w.Line {
		s.t.Errorf("the outcome of %s is %+v", w.ETag, o)
	}
	return o
}

// critic is a phone system that likes no picture.
type critic struct{ memory.Full }

func (critic) SetPhoto(context.Context, identity.Extension, []byte, string) error {
	return fault.New(fault.Invalid, "too dark", nil)
}

func picture(number identity.Extension, etag, image string) wire.PhotoWant {
	return wire.PhotoWant{Person: person(0), Line: lineOf(number), ETag: etag, Image: []byte(image)}
}

func TestPhotosBecomeWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(s *stage) // prepares the phone system, where 200 has the picture "old"
		want   wire.PhotoWant
		result wire.ChangeResult
		shown  string // of 200
	}{
		{"a picture takes the place of another", nil, picture("200", "2", "new"), wire.ChangeDone, "new"},
		{"no picture takes its place", nil, picture("200", "", ""), wire.ChangeDone, ""},
		{"one of a type that is not taken is refused, and the old one stays", nil, func() wire.PhotoWant {
			w := picture("200", "2", "<svg/>")
			w.MIME = "image/svg+xml"
			return w
		}(), wire.ChangeRefused, "old"},
		{"one that the phone system will not have is refused", func(s *stage) {
			s.opts.Systems[0].Open = func(context.Context) (pbx.Driver, error) {
				return critic{memory.Open(s.phones.PhoneSystem, memory.Powers)}, nil
			}
		}, picture("200", "2", "new"), wire.ChangeRefused, "old"},
		{"one whose answer is lost once is set all the same", func(s *stage) {
			var lost atomic.Bool
			s.phones.Intercept(func(_ context.Context, handle func() error) error {
				before := string(s.phones.Photo("200"))
				err := handle()
				if before != string(s.phones.Photo("200")) && lost.CompareAndSwap(false, true) {
					return fault.New(fault.Timeout, "lost", nil)
				}
				return err
			})
		}, picture("200", "2", "new"), wire.ChangeDone, "new"},
		{"of an extension that is not there", nil, picture("999", "2", "new"), wire.ChangeForeign, "old"},
		{"where the phone system keeps its photos itself it is left alone", func(s *stage) { s.phones.SetSync(pbx.SyncState{Photos: true}) },
			picture("200", "2", "new"), wire.ChangeRefused, "old"},
		{"of a tenant that is not served", nil, func() wire.PhotoWant {
			w := picture("200", "2", "new")
			w.Person.Tenant = "fabrikam"
			return w
		}(), wire.ChangeRefused, "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			driver, err := s.phones.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, number := range []identity.Extension{"200", "201"} {
				if err := driver.(pbx.Photos).SetPhoto(t.Context(), number, []byte("old"), "image/jpeg"); err != nil {
					t.Fatal(err)
				}
			}
			if c.before != nil {
				c.before(s)
			}
			s.run("a")
			o := s.pictured(c.want)
			if o.Result != c.result || (o.Detail == "") != c.result.Well() {
				t.Errorf("%s (%s), want %s", o.Result, o.Detail, c.result)
			}
			if is, others := string(s.phones.Photo("200")), string(s.phones.Photo("201")); is != c.shown || others != "old" {
				t.Errorf("200 shows %q, want %q; 201 shows %q", is, c.shown, others)
			}
		})
	}
}

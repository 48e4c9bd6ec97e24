package links_test

import (
	"encoding/json"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/links"
	"offhook.dev/libs/wire"
)

func TestThatAPhotoIsDueIsSeen(t *testing.T) {
	s := newStage(t)
	s.run(nil)
	for _, c := range []struct {
		claim string
		owned []directory.Record
		due   bool
	}{
		{"of nothing it is not", nil, false},
		{"of an extension that has it it is not", []directory.Record{{Line: lineOf("101"), How: directory.Created, Photo: "1"}}, false},
		{"of one of two that lacks it it is", []directory.Record{{Line: lineOf("101"), How: directory.Created}, {Line: lineOf("102"), How: directory.Adopted, PhotoDue: true}}, true},
		{"of one whose person left it is not", []directory.Record{{Line: lineOf("101"), How: directory.Created, PhotoDue: true, Left: time.Unix(1, 0)}}, false},
		{"of one that is but reserved it is not", []directory.Record{{Line: lineOf("101"), How: directory.Reserved, PhotoDue: true}}, false},
		{"of one that lacks it again it is", []directory.Record{{Line: lineOf("101"), How: directory.Created, PhotoDue: true}}, true},
		{"once it is set it is not", []directory.Record{{Line: lineOf("101"), How: directory.Created, Photo: "2"}}, false},
	} {
		data, err := json.Marshal(links.Record{Lines: []links.Line{{Line: lineOf("101"), Revision: 1}}, Owned: c.owned})
		if err != nil {
			t.Fatal(err)
		}
		revision, err := s.bucket.Put(t.Context(), wire.PersonKey(person(1)), data)
		if err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, 10*time.Second, func() string {
			if _, seen := s.mirror.List(person(1)); seen != revision {
				return "not seen: " + c.claim
			}
			return ""
		})
		if s.mirror.PhotoDue(person(1)) != c.due || s.mirror.PhotoDue(person(2)) {
			t.Errorf("not so: %s", c.claim)
		}
	}
}

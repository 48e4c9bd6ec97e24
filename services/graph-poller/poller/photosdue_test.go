package poller

import (
	"encoding/json"
	"image/color"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// due says whether a user's extension, that of link, lacks the photo that the user has.
func (s *stage) due(user identity.User, is bool) {
	s.t.Helper()
	line := links.Line{Line: identity.Line{System: "hq", Extension: "1000"}, Revision: 1, How: "created"}
	value, err := json.Marshal(links.Record{Lines: []links.Line{line}, Owned: []directory.Record{{Line: line.Line, How: directory.Created, PhotoDue: is}}})
	must(s.t, err)
	_, err = s.bucket(topology.Links).Put(s.t.Context(), wire.PersonKey(identity.Person{Tenant: contoso, User: user}), value)
	must(s.t, err)
}

// A photo that an extension lacks is read and published again in the turn of its user,
// also that there is none any more, until somebody says that it is there.
func TestAPhotoThatDidNotGetThereComesAgain(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.photo(users[0], 100, color.White)
	s.photo(users[1], 100, color.White)
	a := s.album()
	s.run(s.photos(100 * time.Millisecond))
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	s.due(users[0], false)
	s.link(contoso, users[1])
	a.shows(users[0], 1)
	a.shows(users[1], 1)
	again := func(more int) {
		t.Helper()
		n := len(a.of(users[0]))
		s.eventually("it does not come again", func() bool { return len(a.of(users[0])) >= n+more })
	}
	s.due(users[0], true)
	again(2)
	if all := a.of(users[0]); all[len(all)-1].ETag != all[0].ETag || len(all[len(all)-1].Image) == 0 {
		t.Errorf("%s came, want %s", all[len(all)-1].ETag, all[0].ETag)
	}
	must(t, s.tenant().RemovePhoto(string(users[0])))
	s.eventually("its end is not told", func() bool { all := a.of(users[0]); return all[len(all)-1].ETag == "" })
	again(2)

	s.due(users[0], false)
	s.eventually("it never ends", func() bool {
		n, asked := len(a.of(users[0])), s.metric("offhook_photo_reads_total", "none")
		s.eventually("nobody is asked", func() bool { return s.metric("offhook_photo_reads_total", "none") > asked+2 })
		return len(a.of(users[0])) == n
	})
	if n := len(a.of(users[1])); n != 1 {
		t.Errorf("somebody else's came %d times", n)
	}
}

package poller

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// drawing is a picture of one colour.
func drawing(width, height int, c color.Color) image.Image {
	to := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		to.Set(i%width, i/width, c)
	}
	return to
}

func pngOf(t testing.TB, from image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, from))
	return b.Bytes()
}

func TestAnAvatarIsSmallAndNothingButAPicture(t *testing.T) {
	encode := map[string]func(image.Image) []byte{
		"png": func(from image.Image) []byte { return pngOf(t, from) },
		"jpeg": func(from image.Image) []byte {
			var b bytes.Buffer
			must(t, jpeg.Encode(&b, from, nil))
			return b.Bytes()
		},
		"gif": func(from image.Image) []byte {
			var b bytes.Buffer
			must(t, gif.Encode(&b, from, nil))
			return b.Bytes()
		},
	}
	red, glass := color.NRGBA{200, 10, 10, 255}, color.NRGBA{200, 10, 10, 100}
	for _, c := range []struct {
		claim         string
		data          []byte
		width, height int
		mime          string
		err           error
	}{
		{"a large one is made smaller", encode["jpeg"](drawing(648, 648, red)), 240, 240, "image/jpeg", nil},
		{"a PNG without glass is a JPEG", encode["png"](drawing(300, 300, red)), 240, 240, "image/jpeg", nil},
		{"with glass it stays a PNG", encode["png"](drawing(300, 300, glass)), 240, 240, "image/png", nil},
		{"so does a GIF's picture", encode["gif"](drawing(300, 100, red)), 240, 80, "image/jpeg", nil},
		{"a small one stays as small", encode["png"](drawing(48, 64, red)), 48, 64, "image/jpeg", nil},
		{"a line is not made to nothing", encode["png"](drawing(1000, 1, red)), 240, 1, "image/jpeg", nil},
		{"behind the picture nothing counts", append(encode["jpeg"](drawing(10, 10, red)), "<script>"...), 10, 10, "image/jpeg", nil},
		{"a text is none", []byte("hello"), 0, 0, "", errNoPicture},
		{"nothing is none", nil, 0, 0, "", errNoPicture},
		{"half a picture is none", encode["png"](drawing(300, 300, red))[:60], 0, 0, "", errNoPicture},
		{"a picture of a page is none", []byte("%PDF-1.7"), 0, 0, "", errNoPicture},
		{"one that says that it is enormous", enormous(t), 0, 0, "", errTooLarge},
	} {
		out, mime, err := avatar(c.data)
		if err != c.err || mime != c.mime {
			t.Errorf("%s: %s, %v", c.claim, mime, err)
			continue
		}
		if c.err != nil {
			continue
		}
		is, _, err := image.Decode(bytes.NewReader(out))
		must(t, err)
		if is.Bounds().Dx() != c.width || is.Bounds().Dy() != c.height || bytes.Contains(out, []byte("script")) || len(out) > pageBytes {
			t.Errorf("%s: %v, %d bytes", c.claim, is.Bounds(), len(out))
		}
		if r, g, _, _ := is.At(0, 0).RGBA(); mime == "image/jpeg" && (r>>8 < 190 || r>>8 > 210 || g>>8 > 30) {
			t.Errorf("%s: its colour is %d %d", c.claim, r>>8, g>>8)
		}
	}
}

// enormous is a PNG of a few bytes whose header says that it is 60,000 pixels wide.
func enormous(t testing.TB) []byte {
	data := pngOf(t, drawing(1, 1, color.White))
	copy(data[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	crc := crc32.ChecksumIEEE(data[12:29])
	copy(data[29:], []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})
	return data
}

// album stands for user-sync: it takes photos.
type album struct {
	s *stage

	mu    sync.Mutex // guards pages
	pages []wire.Photo
}

func (s *stage) album() *album {
	s.t.Helper()
	a := &album{s: s}
	broker := s.connect(topology.UserSync)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Consume(ctx, bus.Consumer{Stream: topology.Pages, Durable: "user-sync", Filters: []string{"m365.fact.photo.*.*"}, Workers: 1},
			func(_ context.Context, m bus.Message) error {
				photo, err := wire.DecodePhoto(m.Data)
				a.mu.Lock()
				defer a.mu.Unlock()
				a.pages = append(a.pages, photo)
				return err
			})
	}()
	s.t.Cleanup(func() {
		cancel()
		must(s.t, <-ended)
	})
	return a
}

// of are the photos of a user so far.
func (a *album) of(user identity.User) (all []wire.Photo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pages {
		if p.Person.User == user {
			all = append(all, p)
		}
	}
	return all
}

// shows waits until so many photos of a user were published, the last being the one that
// the simulator has now, and the user's fact says so.
func (a *album) shows(user identity.User, times int) {
	a.s.t.Helper()
	etag := ""
	if photo, err := a.s.tenant().Photo(string(user)); err == nil {
		etag = photo.ETag
	}
	a.s.eventually(fmt.Sprintf("the album has not %d photos of %s", times, user), func() bool {
		all := a.of(user)
		return len(all) == times && all[times-1].ETag == etag && (len(all[times-1].Image) > 0) == (etag != "") && a.s.directory()[user].fact.Photo == etag
	})
}

// photos is a tenant that reads photos of linked users, and the directory once.
func (s *stage) photos(every time.Duration) TenantConfig {
	s.t.Helper()
	conf, _ := s.usersConfig(never)
	conf.Photos, conf.PhotosEvery, conf.Graph = true, every, s.graph.GraphURL()
	conf.Keep.Retry = 20 * time.Millisecond
	return conf
}

func (s *stage) photo(user identity.User, edge int, c color.Color) {
	s.t.Helper()
	must(s.t, s.tenant().SetPhoto(string(user), "image/png", pngOf(s.t, drawing(edge, edge, c))))
}

// photosRead counts requests for photos themselves.
func (s *stage) photosRead() int {
	return s.graph.Requests().Of("GET", "/v1.0/users/{user}/photos/{size}/$value", 0)
}

func TestPhotosOfLinkedUsersAreFollowed(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	for _, user := range users[:3] {
		s.photo(user, 648, color.NRGBA{10, 200, 10, 255})
	}
	conf := s.photos(150 * time.Millisecond)
	a := s.album()
	conf.Users = 50 * time.Millisecond
	stop := s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	s.link(contoso, users[0], users[1], users[3])
	a.shows(users[0], 1)
	a.shows(users[1], 1)
	if p := a.of(users[0])[0]; p.MIME != "image/jpeg" || p.SeenAt.IsZero() || p.Person.Tenant != contoso {
		t.Errorf("%s, %v", p.MIME, p.SeenAt)
	}
	reads := s.photosRead()
	s.eventually("nobody is asked again", func() bool { return s.metric("offhook_photo_reads_total", "unchanged") > 6 })
	if n := s.photosRead(); n != reads || n != 2 || len(a.of(users[0])) != 1 {
		t.Errorf("%d photos were read although nothing changed, %d published", n, len(a.of(users[0])))
	}
	s.photo(users[0], 648, color.NRGBA{10, 10, 200, 255})
	a.shows(users[0], 2)
	must(t, s.tenant().RemovePhoto(string(users[1])))
	a.shows(users[1], 2)
	if n := s.metric("offhook_photo_reads_total", "none"); n == 0 || s.metric("offhook_photo_reads_total", "not-found") != 0 {
		t.Errorf("%v times somebody had no photo", n)
	}
	if len(a.of(users[2])) != 0 || len(a.of(users[3])) != 0 {
		t.Error("a photo of somebody who is not linked, or has none, was published")
	}
	// A change of the directory leaves what the directory does not tell.
	must(t, s.tenant().EditUser(string(users[0]), func(u *graphsim.User) { u.Department = "Moved" }))
	s.eventually("the change is not stored", func() bool { return s.directory()[users[0]].fact.Department == "Moved" })
	a.shows(users[0], 2)
	stop()
	s.run(conf)
	s.eventually("nobody is asked after a restart", func() bool { return s.metric("offhook_photo_reads_total", "unchanged") > 3 })
	a.shows(users[0], 2)
}

func TestAPhotoComesAgainForOtherExtensions(t *testing.T) {
	s := newStage(t, 2, nil)
	user := s.users()[0]
	s.photo(user, 100, color.White)
	s.link(contoso, user)
	a := s.album()
	stop := s.run(s.photos(never))
	a.shows(user, 1)
	kept := func() string {
		e, _ := s.bucket(topology.Cursors).Get(t.Context(), topology.Join(string(contoso), "photo", string(user)))
		return string(e.Value)
	}
	s.eventually("what was read is not kept", func() bool { return kept() != "" })
	before := kept()
	s.link(contoso, s.users()[1], user) // another extension
	a.shows(user, 2)
	s.eventually("what was read is not kept", func() bool { return kept() != before })
	stop()
	s.link(contoso, user) // while nobody looks
	s.run(s.photos(never))
	a.shows(user, 3)
}

// Links may be known before the directory has told of a user: the photo waits for that, or
// the user's fact would be without it.
func TestAPhotoWaitsUntilTheDirectoryHasToldOfItsUser(t *testing.T) {
	s := newStage(t, 2, nil)
	user := s.users()[0]
	s.photo(user, 100, color.White)
	s.link(contoso, user)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/users/delta", Status: 500, Count: 3})
	must(t, err)
	a := s.album()
	s.run(s.photos(never))
	a.shows(user, 1) // and so does the fact
}

func TestAPhotoThatIsOfNoUseIsNamedAndCostsNobodyElse(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	s.photo(users[0], 100, color.White)
	must(t, s.tenant().SetPhoto(string(users[1]), "image/jpeg", []byte("no picture")))
	must(t, s.tenant().SetPhoto(string(users[2]), "image/jpeg", make([]byte, 20<<20)))
	s.photo(users[3], 100, color.White)
	s.link(contoso, users...)
	a := s.album()
	s.run(s.photos(100 * time.Millisecond))
	a.shows(users[0], 1)
	a.shows(users[3], 1)
	s.eventually("they are not named", func() bool {
		return s.metric("offhook_photo_reads_total", "not-a-picture") == 1 && s.metric("offhook_photo_reads_total", "too-large") == 1
	})
	must(t, s.tenant().SetPhoto(string(users[3]), "image/jpeg", []byte("no picture any more")))
	s.eventually("it is not named", func() bool { return s.metric("offhook_photo_reads_total", "not-a-picture") == 2 })
	reads := s.photosRead()
	s.eventually("nobody is asked again", func() bool { return s.metric("offhook_photo_reads_total", "unchanged") > 12 })
	if n := s.photosRead(); n != reads {
		t.Errorf("%d photos of no use were read again", n-reads)
	}
	if len(a.of(users[1]))+len(a.of(users[2])) != 0 || len(a.of(users[3])) != 1 {
		t.Error("something of no use was published, or instead of a photo that is")
	}
	s.photo(users[1], 100, color.White)
	a.shows(users[1], 1)
}

func TestWithoutPermissionForPhotosEverythingElseGoesOn(t *testing.T) {
	s := newStage(t, 2, nil)
	user := s.users()[0]
	s.photo(user, 100, color.White)
	s.fill(user, 2)
	s.link(contoso, user)
	must(t, s.tenant().EditMailbox(string(user), func(m *graphsim.Mailbox) { m.Denied = true }))
	a := s.album()
	s.run(s.photos(50 * time.Millisecond))
	s.eventually("nobody is refused", func() bool { return s.metric("offhook_photo_reads_total", "denied") > 2 })
	must(t, s.tenant().EditMailbox(string(user), func(m *graphsim.Mailbox) { m.Denied = false }))
	a.shows(user, 1)
}

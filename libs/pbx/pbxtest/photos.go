package pbxtest

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// gallery is a driver that sets photos, with what a case needs besides.
type gallery struct {
	Pictures
	pbx.Photos
	powers pbx.PhotoPowers
}

// hung returns the driver under test as one that sets photos, or false where it
// declares that it does not: implementedIsDeclared sees to it.
func hung(h Harness) (gallery, bool) {
	photos, sets := h.Driver().(pbx.Photos)
	pictures, shows := h.(Pictures)
	return gallery{pictures, photos, powers(h).Photo}, sets && shows
}

// picture is a picture of one colour in the driver's favourite format.
func (g gallery) picture(t T, side int) (data []byte, mime string) {
	t.Helper()
	mime = g.powers.Formats[0]
	return picture(t, side, mime), mime
}

func picture(t T, side int, mime string) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch mime {
	case "image/jpeg":
		err = jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, side, side)), nil)
	case "image/png":
		err = png.Encode(&out, image.NewGray(image.Rect(0, 0, side, side)))
	default:
		t.Fatalf("the suite has no picture of the type %q", mime)
	}
	if err != nil {
		t.Fatalf("picture: %v", err)
	}
	return out.Bytes()
}

func photoSet(t T, h Harness) {
	g, ok := hung(h)
	if !ok {
		return
	}
	ext, other := h.Extensions()[0], h.Extensions()[1]
	first, mime := g.picture(t, 2)
	second, _ := g.picture(t, g.powers.Pixels)
	for _, data := range [][]byte{first, first, second, nil, nil, first} {
		if err := g.SetPhoto(t.Context(), ext, data, mime); err != nil {
			t.Errorf("set a photo of %d bytes: %v", len(data), err)
		}
		if shown := g.Photo(ext); !bytes.Equal(shown, data) {
			t.Errorf("a photo of %d bytes was set, %d are shown", len(data), len(shown))
		}
	}
	if g.Photo(other) != nil {
		t.Errorf("%s has a photo as well", other)
	}
}

func photoAsMade(t T, h Harness) {
	g, ok := hung(h)
	if !ok {
		return
	}
	ext := h.Extensions()[0]
	for _, mime := range []string{directory.JPEG, directory.PNG} {
		data := picture(t, directory.PhotoEdge, mime)
		if err := g.SetPhoto(t.Context(), ext, data, mime); err != nil || !slices.Contains(g.powers.Formats, mime) {
			t.Errorf("a photo of %d pixels of the type %q: %v; declared is %+v", directory.PhotoEdge, mime, err, g.powers)
		}
	}
	if g.powers.Pixels < directory.PhotoEdge {
		t.Errorf("it is declared to take %d pixels, and photos have %d", g.powers.Pixels, directory.PhotoEdge)
	}
}

func photoOfNobody(t T, h Harness) {
	g, ok := hung(h)
	if !ok {
		return
	}
	data, mime := g.picture(t, 2)
	wantKind(t, g.SetPhoto(t.Context(), h.Absent(), data, mime), fault.NotFound, "set a photo")
}

func pictureType(t T, h Harness) {
	g, ok := hung(h)
	if !ok {
		return
	}
	requests := h.Requests()
	wantKind(t, g.SetPhoto(t.Context(), h.Extensions()[0], []byte("<svg/>"), "image/svg+xml"), fault.Unsupported, "set a drawing")
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests were sent", sent)
	}
	if g.Photo(h.Extensions()[0]) != nil {
		t.Errorf("it is shown")
	}
}

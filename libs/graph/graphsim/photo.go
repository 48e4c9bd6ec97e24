package graphsim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	_ "image/gif"  // the kinds of pictures whose size is known
	_ "image/jpeg" //
	_ "image/png"  //
	"net/http"
	"slices"
)

// Photo is a user's photo. It need not be a picture: people upload what they like.
type Photo struct {
	ETag          string `json:"etag"` // as on the wire, with its quotes
	MIME          string `json:"mime"`
	Image         []byte `json:"image"`
	Width, Height int    `json:"-"`
}

// photoSizes are the edges of the squares in which photos can be had
// (learn.microsoft.com/graph/api/profilephoto-get).
var photoSizes = []int{48, 64, 96, 120, 240, 360, 432, 504, 648}

// SetPhoto gives a user a photo.
func (t *Tenant) SetPhoto(user, mime string, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	if mime == "" || len(data) == 0 {
		return fmt.Errorf("photo of %q: give a content type and an image", user)
	}
	sum := sha256.Sum256(data)
	photo := &Photo{ETag: fmt.Sprintf(`"%X"`, sum[:4]), MIME: mime, Image: slices.Clone(data), Width: 240, Height: 240}
	if is, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		photo.Width, photo.Height = is.Width, is.Height
	}
	p.mail().photo = photo
	return nil
}

// RemovePhoto takes a user's photo away; none is no error.
func (t *Tenant) RemovePhoto(user string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	p.mail().photo = nil
	return nil
}

// Photo returns a user's photo; ErrNotFound where there is none.
func (t *Tenant) Photo(user string) (Photo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	switch {
	case p == nil:
		return Photo{}, t.noUser(user)
	case p.mail().photo == nil:
		return Photo{}, fmt.Errorf("photo of %q: %w", user, ErrNotFound)
	}
	return *p.mailbox.photo, nil
}

// openPhoto returns the photo in the path, nil where there is none. t.mu is held for
// writing.
func (c *call) openPhoto() (*Photo, *graphError) {
	if size := c.PathValue("size"); size != "" && !slices.ContainsFunc(photoSizes, func(n int) bool { return size == square(n) }) {
		return nil, badRequest("The photo size '%s' is not supported.", size)
	}
	p, failure := c.openMailbox()
	if failure != nil {
		return nil, failure
	}
	return p.mailbox.photo, nil
}

func square(edge int) string { return fmt.Sprintf("%dx%d", edge, edge) }

func imageNotFound() *graphError {
	return graphErr(http.StatusNotFound, "ImageNotFound", "The photo wasn't found.")
}

// getPhoto is GET /users/{id}/photo and /users/{id}/photos/{size}: what there is, and
// under which etag.
func getPhoto(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	photo, failure := c.openPhoto()
	switch {
	case failure != nil:
		return answer{}, failure
	case photo == nil && c.tenant.switches.NoPhoto == "gif":
		return answer{body: c.photoBody(Photo{MIME: "image/gif", Width: 1, Height: 1})}, nil
	case photo == nil:
		return answer{}, imageNotFound()
	}
	return answer{body: c.photoBody(*photo)}, nil
}

func (c *call) photoBody(p Photo) map[string]any {
	id := c.PathValue("size")
	set(&id, fmt.Sprintf("%dx%d", p.Width, p.Height))
	return map[string]any{"@odata.context": c.origin() + "/$metadata#users('" + c.PathValue("user") + "')/photo/$entity",
		"@odata.mediaContentType": p.MIME, "@odata.mediaEtag": p.ETag, "id": id, "width": p.Width, "height": p.Height}
}

// getPhotoValue is GET /users/{id}/photo/$value and /users/{id}/photos/{size}/$value:
// the photo itself, in whatever size it is.
func getPhotoValue(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	photo, failure := c.openPhoto()
	switch {
	case failure != nil:
		return answer{}, failure
	case photo == nil:
		return answer{}, imageNotFound()
	}
	return answer{raw: photo.Image, header: http.Header{"Content-Type": {photo.MIME}, "Etag": {photo.ETag}}}, nil
}

// listPhotos is GET /users/{id}/photos: the sizes in which the photo can be had.
func listPhotos(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	photo, failure := c.openPhoto()
	if failure != nil {
		return answer{}, failure
	}
	result := page{Context: c.origin() + "/$metadata#users('" + c.PathValue("user") + "')/photos", Value: []map[string]any{}}
	for _, edge := range photoSizes {
		if photo != nil && edge <= photo.Width {
			result.Value = append(result.Value, map[string]any{"@odata.mediaContentType": photo.MIME, "@odata.mediaEtag": photo.ETag,
				"id": square(edge), "width": edge, "height": edge})
		}
	}
	return answer{body: result}, nil
}

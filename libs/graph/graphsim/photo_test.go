package graphsim_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"net/http"
	"testing"

	"offhook.dev/libs/graph/graphsim"
)

// picture is a PNG of a square.
func picture(t testing.TB, edge int) []byte {
	t.Helper()
	var b bytes.Buffer
	check(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, edge, edge))))
	return b.Bytes()
}

func TestPhotos(t *testing.T) {
	s := start(t, nil)
	token, photo := s.appToken(contoso), "/users/"+s.id("anna")+"/photo"
	value := func(path string) (*http.Response, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.GraphURL()+"/v1.0"+path, nil)
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := s.client.Do(r)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(t, err)
		return response, body
	}
	if got := s.graph("GET", photo, token, nil); got.status != http.StatusNotFound || got.code() != "ImageNotFound" {
		t.Errorf("no photo: %d %s", got.status, got.code())
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.NoPhoto = "gif" }))
	if got := s.graph("GET", photo, token, nil); got.status != http.StatusOK || got.body["width"] != 1.0 || got.body["@odata.mediaEtag"] != "" || got.body["@odata.mediaContentType"] != "image/gif" {
		t.Errorf("no photo: %d %v", got.status, got.body)
	}
	if got, _ := value(photo + "/$value"); got.StatusCode != http.StatusNotFound {
		t.Errorf("no photo: %d", got.StatusCode)
	}
	data := picture(t, 120)
	check(t, s.contoso().SetPhoto("anna", "image/png", data))
	first := s.graph("GET", photo, token, nil)
	if first.body["id"] != "120x120" || first.body["width"] != 120.0 || first.body["@odata.mediaContentType"] != "image/png" {
		t.Errorf("%v", first.body)
	}
	for _, path := range []string{photo + "/$value", photo + "s/240x240/$value"} {
		if got, body := value(path); got.Header.Get("Content-Type") != "image/png" || !bytes.Equal(body, data) {
			t.Errorf("%s: %d %s, %d bytes", path, got.StatusCode, got.Header.Get("Content-Type"), len(body))
		}
	}
	if got := s.graph("GET", photo+"s", token, nil); len(got.values()) != 4 {
		t.Errorf("sizes %v", got.values())
	}
	if got := s.graph("GET", photo+"s/7x7", token, nil); got.status != http.StatusBadRequest {
		t.Errorf("an odd size: %d", got.status)
	}
	inside := s.graph("POST", "/$batch", token, map[string]any{"requests": []map[string]string{{"id": "a", "method": "GET", "url": photo + "s/240x240/$value"}}}).responses()["a"]
	if text, _ := inside["body"].(string); text != base64.StdEncoding.EncodeToString(data) {
		t.Errorf("in a batch: %v", inside)
	}
	check(t, s.contoso().SetPhoto("anna", "image/png", picture(t, 121)))
	if again := s.graph("GET", photo, token, nil); again.body["@odata.mediaEtag"] == first.body["@odata.mediaEtag"] {
		t.Error("another photo has the same etag")
	}
	check(t, s.contoso().RemovePhoto("anna"))
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.NoPhoto = "404" }))
	if got := s.graph("GET", photo, token, nil); got.status != http.StatusNotFound {
		t.Errorf("a removed photo: %d", got.status)
	}
	check(t, s.contoso().Revoke(appID, "User.Read.All"))
	if got := s.graph("GET", photo, token, nil); got.status != http.StatusForbidden {
		t.Errorf("without permission: %d", got.status)
	}
}

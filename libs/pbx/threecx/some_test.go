package threecx

import (
	"io"
	"net/http"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Which filters 3CX takes is not documented. Unsupported is for good, so it is only what
// shows that this one is not taken.
func TestAnswersToAFilter(t *testing.T) {
	cases := []struct {
		name   string
		status int
		answer string
		want   fault.Kind
	}{
		{"that was refused as wrong are unsupported", http.StatusBadRequest, `{"error":{"code":"","message":"The query is not valid."}}`, fault.Unsupported},
		{"that was left aside are unsupported", http.StatusOK, `{"value":[{"Id":1,"Number":"200"},{"Id":3,"Number":"202"}]}`, fault.Unsupported},
		{"that are a part only are unsupported", http.StatusOK, `{"value":[{"Id":1,"Number":"200"}],"@odata.nextLink":"/xapi/v1/Users?$skip=1"}`, fault.Unsupported},
		{"that hold no list may be better next time", http.StatusOK, `{}`, fault.Unavailable},
		{"that are a page for people may be better next time", http.StatusOK, `<html>`, fault.Unavailable},
		{"that may not be read are denied", http.StatusForbidden, ``, fault.Denied},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := scripted(t, "/xapi/v1/Users", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			})
			if got, err := d.StatusesOf(t.Context(), []identity.Extension{"200", "201"}); fault.KindOf(err) != c.want || err == nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A 3CX that caps its pages below what is asked for says so; who is in another page is there,
// and must not be told to be gone already.
func TestWhoIsInAnotherPartOfTheAnswerIsDeletedToo(t *testing.T) {
	for name, c := range map[string]struct {
		part    string
		deleted string // the keys that are sent
	}{
		"one is in another part":             {`{"value":[{"Id":21,"Number":"200"}],"@odata.nextLink":"/xapi/v1/Users?$skip=1"}`, `{"ids":[21,22]}`},
		"all are in another part":            {`{"value":[],"@odata.nextLink":"/xapi/v1/Users?$skip=0"}`, `{"ids":[21,22]}`},
		"a link beyond all that were asked":  {`{"value":[{"Id":31,"Number":"200"},{"Id":32,"Number":"201"},{"Id":33,"Number":"999"}],"@odata.nextLink":"x"}`, `{"ids":[31,32,33]}`},
		"one is missing in what is all else": {`{"value":[{"Id":21,"Number":"200"},{"Id":22,"Number":"201"}]}`, `{"ids":[21,22]}`},
	} {
		t.Run(name, func(t *testing.T) {
			sent := ""
			d := scriptedAll(t, map[string]http.HandlerFunc{
				root + "/Users":               says(c.part),
				root + "/Users(Number='200')": says(`{"Id":21,"Number":"200"}`),
				root + "/Users(Number='201')": says(`{"Id":22,"Number":"201"}`),
				root + "/Users/Pbx.BatchDelete": func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					sent = string(body)
					_, _ = io.WriteString(w, `{"value":[]}`)
				},
			})
			failed, err := d.DeleteExtensions(t.Context(), []identity.Extension{"200", "201", "999"})
			if err != nil || sent != c.deleted || len(failed) > 1 || failed["200"] != nil || failed["201"] != nil {
				t.Errorf("sent was %s; failed %v, %v", sent, failed, err)
			}
			if gone := failed["999"]; (gone != nil) != (c.deleted == `{"ids":[21,22]}`) || gone != nil && fault.KindOf(gone) != fault.NotFound {
				t.Errorf("of one that there is not it says %v", gone)
			}
		})
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

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

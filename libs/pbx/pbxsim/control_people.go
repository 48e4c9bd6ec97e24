package pbxsim

import (
	"fmt"
	"net/http"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// controlPeople adds to Control what concerns extensions and phonebooks.
func (s *Sim) controlPeople(handle func(method, path string, serve func(*http.Request) (any, error))) {
	handle("GET", "/changes", func(*http.Request) (any, error) { return s.Changes(), nil })
	handle("GET", "/books", func(*http.Request) (any, error) { return s.Book(""), nil })
	handle("GET", "/books/{number}", func(r *http.Request) (any, error) {
		return s.Book(identity.Extension(r.PathValue("number"))), nil
	})
	handle("PATCH", "/extensions/{number}", s.controlEdit)
	handle("DELETE", "/extensions/{number}", func(r *http.Request) (any, error) {
		number := identity.Extension(r.PathValue("number"))
		if !s.Remove(number) {
			return nil, fmt.Errorf("there is no extension %q", number)
		}
		return s.Stats(), nil
	})
	handle("PUT", "/licence", func(r *http.Request) (any, error) {
		var order struct{ Extensions int }
		if err := decode(r, &order); err != nil {
			return nil, err
		}
		s.SetLicence(order.Extensions)
		return s.Stats(), nil
	})
	handle("PUT", "/native-sync", func(r *http.Request) (any, error) {
		var state pbx.SyncState
		if err := decode(r, &state); err != nil {
			return nil, err
		}
		s.SetNativeSync(state)
		return state, nil
	})
}

func (s *Sim) controlEdit(r *http.Request) (any, error) {
	number := identity.Extension(r.PathValue("number"))
	shown, ok := s.Shown(number)
	if !ok {
		return nil, fmt.Errorf("there is no extension %q", number)
	}
	changed := shown.Extension // what the body does not name stays
	if err := decode(r, &changed); err != nil {
		return nil, err
	}
	s.Edit(number, func(e *directory.Extension) { *e = changed })
	shown, _ = s.Shown(number)
	return shown, nil
}

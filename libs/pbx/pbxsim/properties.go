package pbxsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"offhook.dev/libs/core/identity"
)

// propertyLimit is how long a property may be.
const propertyLimit = 128 << 10

// properties tells what is kept with an extension.
func (s *Sim) properties(w http.ResponseWriter, r request, number string) {
	s.collection(w, r, []string{"Id", "Name", "Value", "Description"}, nil, func(query) (rows, error) {
		e := s.world.byNumber[identity.Extension(number)]
		if e == nil {
			return rows{}, errAbsent
		}
		names := slices.Sorted(maps.Keys(e.properties))
		return rows{len(names), func(i int) row {
			return row{"Id": int32(i + 1), "Name": names[i], "Value": e.properties[names[i]], "Description": nil}
		}}, nil
	})
}

func (s *Sim) createProperty(w http.ResponseWriter, r request, _ string) { s.setProperty(w, r, false) }
func (s *Sim) updateProperty(w http.ResponseWriter, r request, _ string) { s.setProperty(w, r, true) }

// setProperty makes a property, or changes one that there is.
func (s *Sim) setProperty(w http.ResponseWriter, r request, there bool) {
	order, err := shape{"dnNumber": "", "property": parts}.parse(r.body, s.config.MaxText)
	var property map[string]any
	if err == nil {
		raw, _ := order["property"].(json.RawMessage)
		property, err = shape{"Id": int32(0), "Name": "", "Value": "", "Description": ""}.parse(raw, propertyLimit)
	}
	if err == nil {
		s.world.mu.Lock()
		err = s.keep(identity.Extension(text(order, "dnNumber")), text(property, "Name"), text(property, "Value"), there)
		s.world.mu.Unlock()
	}
	s.done(w, err)
}

// keep is setProperty. world.mu is held.
func (s *Sim) keep(number identity.Extension, name, value string, there bool) error {
	e := s.world.byNumber[number]
	if e == nil {
		return errAbsent
	}
	if name == "" {
		return wrong("Name is missing.")
	}
	if _, exists := e.properties[name]; exists != there {
		return no("The property exists: %v.", exists)
	}
	if e.properties == nil {
		e.properties = make(map[string]string)
	}
	e.properties[name] = value
	s.world.changed("set-property", number, map[string]any{name: nil})
	s.stats.changed("set-property")
	return nil
}

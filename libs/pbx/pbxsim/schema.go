package pbxsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// schemaPath is where the interface describes itself.
const schemaPath = "/swagger.yaml"

// serveSchema answers with the description of what there is.
func (s *Sim) serveSchema(w http.ResponseWriter, r request) {
	switch {
	case s.config.Schema == Missing:
		s.refuseUnknown(w, r)
	case s.config.Schema == Forbidden:
		refuse(w, http.StatusForbidden, "Forbidden", "The role does not permit this.")
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The simulator cannot do this.")
	default:
		w.Header().Set("Content-Type", "application/yaml")
		fmt.Fprint(w, s.config.schema())
	}
}

// schema is an OpenAPI document of the routes that there are, as the vendor's generator
// lays one out.
func (c Config) schema() string {
	var b strings.Builder
	fmt.Fprintf(&b, "openapi: 3.0.4\ninfo:\n  title: XAPI\n  version: %s\nservers:\n- url: %s\npaths:\n", c.Version, base)
	verbs := make(map[string][]string)
	var forms []string
	for _, route := range routes {
		if !c.has(route.form) {
			continue
		}
		form := strings.NewReplacer("{id}", "{Id}", "{text}", "{Number}").Replace(route.form)
		if verbs[form] == nil {
			forms = append(forms, form)
		}
		verbs[form] = append(verbs[form], strings.ToLower(route.method))
	}
	slices.Sort(forms)
	for _, form := range forms {
		fmt.Fprintf(&b, "  %s:\n    description: Provides operations.\n", form)
		for _, verb := range verbs[form] {
			fmt.Fprintf(&b, "    %s:\n      responses:\n        default:\n          $ref: '#/components/responses/error'\n", verb)
		}
	}
	b.WriteString("components:\n  responses:\n    error:\n      description: error\n")
	return b.String()
}

// has says whether a route is one of the version whose actions there are.
func (c Config) has(form string) bool {
	switch name, _, _ := strings.Cut(form, "("); name {
	case "/Contacts/Pbx.BatchContactsDelete":
		return c.before9()
	case "/Contacts/Pbx.DeleteContactsById", "/Contacts/Pbx.GetContactsByNumber", "/Contacts/Pbx.CreateContactByNumber":
		return !c.before9()
	}
	return true
}

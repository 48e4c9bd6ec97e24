package contracttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Exchange is one request and its answer.
type Exchange struct {
	Request *http.Request // its body is in Sent
	Sent    []byte
	Status  int
	Header  http.Header // of the answer
	Answer  []byte
}

// Violations names the operation that x is about ("GET /users") and everything in
// which x differs from its description.
func (c *Contract) Violations(x Exchange) (operation string, found []string) {
	request := x.Request.Clone(x.Request.Context())
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(x.Sent)), int64(len(x.Sent))
	path := request.URL.Path
	if c.Beside != nil && c.Beside(path) {
		return x.Request.Method + " " + path, nil
	}
	if c.Spelling != nil {
		path = c.Spelling(path)
	}
	// The router compares what is escaped, and net/url escapes more than a path
	// needs: the parentheses and quotes of OData keys.
	request.URL.Path, request.URL.RawPath = path, path
	route, parameters, err := c.routes.FindRoute(request)
	if err != nil {
		return x.Request.Method + " " + path, []string{err.Error()}
	}
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route, Options: options()}
	if err := openapi3filter.ValidateRequest(request.Context(), input); err != nil {
		found = append(found, "request: "+err.Error())
	}
	found = append(found, undeclared(route, request, x.Sent)...)
	if len(x.Answer) == 0 && c.Bodiless != nil && c.Bodiless(x.Status) {
		input.Options.ExcludeResponseBody = true
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: x.Status, Header: x.Header,
		Body: io.NopCloser(bytes.NewReader(x.Answer)), Options: input.Options}
	if err := openapi3filter.ValidateResponse(request.Context(), answer); err != nil {
		found = append(found, "answer: "+err.Error())
	}
	return route.Method + " " + strings.ReplaceAll(route.Path, digits, ""), found
}

// digits makes a path parameter match integers only.
const digits = ":-?[0-9]+"

// narrow marks the integers in path templates: the router takes the first that fits,
// and "/Users({Id})" must not fit "/Users(Number='200')".
func narrow(paths *openapi3.Paths) {
	for path, item := range paths.Map() {
		parameters := slices.Clone(item.Parameters)
		for _, operation := range item.Operations() {
			parameters = append(parameters, operation.Parameters...)
		}
		narrowed := path
		for _, p := range parameters {
			if name := p.Value.Name; p.Value.In == "path" && p.Value.Schema.Value.Type.Is("integer") {
				narrowed = strings.ReplaceAll(narrowed, "{"+name+"}", "{"+name+digits+"}")
			}
		}
		paths.Delete(path)
		paths.Set(narrowed, item)
	}
}

func options() *openapi3filter.Options {
	o := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // what a token is worth is not in the files
		IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true, MultiError: true,
		SchemaValidationOptions: formats(),
	}
	o.WithCustomSchemaErrorFunc(func(e *openapi3.SchemaError) string {
		text := strings.Join(e.JSONPointer(), ".") + ": " + e.Reason // without the whole schema
		if e.Origin != nil {
			text += ": " + e.Origin.Error()
		}
		return text
	})
	return o
}

// undeclared lists the query options, selected properties and members that a
// request names and the file does not.
func undeclared(route *routers.Route, request *http.Request, sent []byte) []string {
	var found []string
	query := request.URL.Query()
	for name := range query {
		if route.Operation.Parameters.GetByInAndName("query", name) == nil {
			found = append(found, fmt.Sprintf("request: the query option %q is not declared", name))
		}
	}
	if names := query.Get("$select"); names != "" {
		found = append(found, strangers("$select", strings.Split(names, ","), selectable(route.Operation))...)
	}
	if body := route.Operation.RequestBody; body != nil && len(sent) > 0 {
		found = append(found, strangers("the body", memberNames(sent), schemaOf(body.Value.Content))...)
	}
	slices.Sort(found)
	return found
}

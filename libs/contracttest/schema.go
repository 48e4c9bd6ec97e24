package contracttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// strangers lists the names that a schema does not declare.
func strangers(where string, names []string, schema *openapi3.SchemaRef) []string {
	known := declared(schema)
	var found []string
	for _, name := range names {
		if known[name] == nil {
			found = append(found, fmt.Sprintf("request: %s names %q, which is not declared", where, name))
		}
	}
	return found
}

// declared returns the properties of a schema and of those it extends.
func declared(schema *openapi3.SchemaRef) map[string]*openapi3.SchemaRef {
	all := map[string]*openapi3.SchemaRef{}
	if schema == nil {
		return all
	}
	for _, part := range schema.Value.AllOf {
		maps.Copy(all, declared(part))
	}
	maps.Copy(all, schema.Value.Properties)
	return all
}

// selectable is the entity that a read answers: of a collection, its items.
func selectable(operation *openapi3.Operation) *openapi3.SchemaRef {
	answer := operation.Responses.Status(http.StatusOK)
	if answer == nil {
		return nil
	}
	schema := schemaOf(answer.Value.Content)
	if value := declared(schema)["value"]; value != nil && value.Value.Items != nil {
		return value.Value.Items
	}
	return schema
}

func schemaOf(content openapi3.Content) *openapi3.SchemaRef {
	if kind := content.Get("application/json"); kind != nil {
		return kind.Schema
	}
	return nil
}

// memberNames are those of a JSON object; none of anything else.
func memberNames(body []byte) []string {
	var object map[string]json.RawMessage
	_ = json.Unmarshal(body, &object) // what is no object is the validator's to find
	return slices.Sorted(maps.Keys(object))
}

// formats are those in the files that the validator does not know by itself.
func formats() []openapi3.SchemaValidationOption {
	return []openapi3.SchemaValidationOption{
		// Microsoft's GUIDs have no version.
		openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)),
		openapi3.WithStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
			u, err := url.Parse(text)
			if err == nil && !u.IsAbs() {
				err = errors.New("the URI is not absolute")
			}
			return err
		})),
	}
}

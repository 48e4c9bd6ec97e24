package threecx

import (
	"context"
	"net/http"
	"net/url"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// markerName is the property of an extension that holds the marker.
const markerName = "OFFHOOK_USER"

// property is a text that a client keeps with an extension under a name of its own.
type property struct{ Name, Value, Description string }

// markerOf reads an extension's marker; found says whether there is the property.
func (d *Driver) markerOf(ctx context.Context, op string, ext identity.Extension) (marker identity.User, found bool, err error) {
	var properties struct{ Value *[]property }
	path := "/DNProperties/Pbx.GetPropertiesByDn(dnNumber=" + quoted(string(ext)) + ")"
	query := url.Values{"$select": {"Name,Value"}, "$filter": {"Name eq " + quoted(markerName)}}
	if err := d.wire.get(ctx, op, path, query, &properties); err != nil {
		return "", false, err
	}
	if properties.Value == nil {
		return "", false, fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
	}
	for _, p := range *properties.Value {
		if p.Name == markerName {
			marker, _ = identity.ParseUser(p.Value) // what is none is as good as none
			return marker, true, nil
		}
	}
	return "", false, nil
}

// mark leaves a marker on an extension.
func (d *Driver) mark(ctx context.Context, op string, ext identity.Extension, marker identity.User) error {
	now, found, err := d.markerOf(ctx, op, ext)
	if err != nil || now == marker {
		return err
	}
	return d.setMarker(ctx, op, ext, marker, found)
}

// setMarker makes the property, or changes it where there is one.
func (d *Driver) setMarker(ctx context.Context, op string, ext identity.Extension, marker identity.User, there bool) error {
	order := struct {
		Number   identity.Extension `json:"dnNumber"`
		Property property           `json:"property"`
	}{ext, property{markerName, string(marker), "The Microsoft 365 user whose extension this is, for Offhook"}}
	action := "CreateDNProperty"
	if there {
		action = "UpdateDNProperty"
	}
	return d.wire.post(ctx, op, "/DNProperties/Pbx."+action, order, http.StatusNoContent, nil)
}

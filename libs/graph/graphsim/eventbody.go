package graphsim

import (
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

func (e *event) etag() string { return `W/"` + e.changeKey() + `"` }

func (e *event) changeKey() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, e.stamp))
}

// eventBody renders microsoft.graph.event (CSDL, 2026-08) with all properties that
// the simulator knows. t.mu is held.
func (t *Tenant) eventBody(p *person, o Occurrence, prefer preferences) map[string]any {
	e := o.event
	kind, series := "singleInstance", any(nil)
	if o.Date != "" {
		kind, series = "occurrence", eventID(e.key, "", prefer.immutable)
	}
	if o.Exception {
		kind = "exception"
	}
	body := map[string]any{
		"id": eventID(e.key, o.Date, prefer.immutable), "changeKey": e.changeKey(), "type": kind, "seriesMasterId": series,
		"createdDateTime": e.changed.UTC().Format(time.RFC3339Nano), "lastModifiedDateTime": e.changed.UTC().Format(time.RFC3339Nano),
		"start": prefer.moment(o.Start), "end": prefer.moment(o.End), "isAllDay": o.AllDay, "isCancelled": o.Cancelled,
		"showAs": o.ShowAs, "sensitivity": o.Sensitivity, "responseStatus": responseStatus(o.Response, e.changed),
		"isOrganizer": o.Response == "organizer", "organizer": address(t.organizer(p, e)), "attendees": e.people(),
		"subject": o.Subject, "bodyPreview": e.Body, "body": map[string]any{"contentType": "text", "content": e.Body},
		"location":  map[string]any{"displayName": e.Place, "locationType": "default", "uniqueIdType": "unknown"},
		"locations": []any{}, "importance": "normal", "isDraft": false, "isReminderOn": false, "reminderMinutesBeforeStart": 15,
		"hasAttachments": false, "iCalUId": "040000008200E00074C5B7101A82E008" + strings.ToUpper(e.key), "categories": []string{},
		"originalStartTimeZone": e.Zone, "originalEndTimeZone": e.Zone, "recurrence": nil, "isOnlineMeeting": false,
		"webLink": "https://outlook.example/calendar/" + url.PathEscape(o.ID), "responseRequested": true, "allowNewTimeProposals": true,
	}
	if o.AllDay && t.switches.AllDay == "dates" {
		body["start"], body["end"] = prefer.midnight(o.from), prefer.midnight(o.to)
	}
	if o.Date != "" {
		date, _ := time.Parse(dayForm, o.Date) // one of ours
		body["originalStart"] = instant(date, e.from, e.zone).UTC().Format(time.RFC3339)
	}
	return body
}

// master is eventBody of a series itself, which is at the times of its first
// occurrence.
func (t *Tenant) master(p *person, e *event, prefer preferences) map[string]any {
	body := t.eventBody(p, e.on(e.first, "", p.mailbox.home()), prefer)
	if e.Repeat != nil {
		body["type"], body["recurrence"] = "seriesMaster", e.Repeat.body(e.first, e.Zone)
	}
	return body
}

// organizer is the user, or the first who is invited where the user is a guest.
func (t *Tenant) organizer(p *person, e *event) string {
	if e.Response == "organizer" || len(e.Attendees) == 0 {
		return p.local + "@" + t.domain
	}
	return e.Attendees[0]
}

func (e *event) people() []any {
	list := []any{}
	for _, mail := range e.Attendees {
		person := address(mail)
		person["type"], person["status"] = "required", responseStatus("none", time.Time{})
		list = append(list, person)
	}
	return list
}

// address is microsoft.graph.recipient.
func address(mail string) map[string]any {
	local, _, _ := strings.Cut(mail, "@")
	return map[string]any{"emailAddress": map[string]any{"name": local, "address": mail}}
}

func responseStatus(response string, at time.Time) map[string]any {
	if response == "organizer" || response == "none" {
		at = time.Time{}
	}
	return map[string]any{"response": response, "time": at.UTC().Format(time.RFC3339)}
}

// pickEvent reduces a body to what was selected, nil for everything. The id and the
// etag come in any case. t.mu is held.
func (c *call) pickEvent(e *event, body map[string]any, names []string, full bool) map[string]any {
	picked := body
	if names != nil {
		picked = map[string]any{"id": body["id"]}
		for _, name := range names {
			picked[name] = body[name]
		}
	}
	if !full { // Calendars.ReadBasic
		delete(picked, "body")
		delete(picked, "bodyPreview")
	}
	picked["@odata.etag"] = e.etag()
	for name, value := range e.spoiled {
		if _, there := picked[name]; there {
			picked[name] = value
		}
	}
	return picked
}

// selectedOf returns the names in $select, all of known without one.
func selectedOf(query url.Values, known map[string]any, kind string) ([]string, *graphError) {
	text := query.Get("$select")
	if text == "" {
		return slices.Sorted(maps.Keys(known)), nil
	}
	names := strings.Split(text, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if _, ok := known[names[i]]; !ok {
			return nil, graphErr(400, "RequestBroker--ParseUri", "Could not find a property named '%s' on type 'Microsoft.OutlookServices.%s'.", names[i], kind)
		}
	}
	return names, nil
}

// eventFields returns the names in $select, nil without one.
func eventFields(query url.Values) ([]string, *graphError) {
	if query.Get("$select") == "" {
		return nil, nil
	}
	return selectedOf(query, eventProperties, "Event")
}

// eventProperties are the names that eventBody knows.
var eventProperties = (&Tenant{}).eventBody(&person{}, Occurrence{event: &event{zone: time.UTC}, Date: "2000-01-01"}, preferences{zone: time.UTC})

package graphsim

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/graph"
)

// preferences are what the Prefer header of a request about Outlook's items says.
type preferences struct {
	zoneName  string // as it was asked for
	zone      *time.Location
	immutable bool
	pageSize  int // 0 is not said
}

var (
	preferZone = regexp.MustCompile(`(?i)outlook\.timezone\s*=\s*"([^"]*)"`)
	preferID   = regexp.MustCompile(`(?i)IdType\s*=\s*"ImmutableId"`)
	preferPage = regexp.MustCompile(`(?i)odata\.maxpagesize\s*=\s*(\d+)`)
)

func (c *call) prefers() (preferences, *graphError) {
	text := strings.Join(c.Header.Values("Prefer"), ", ")
	p := preferences{zoneName: "UTC", zone: time.UTC, immutable: preferID.MatchString(text)}
	if m := preferZone.FindStringSubmatch(text); m != nil {
		zone, err := graph.ParseZone(m[1])
		if err != nil {
			return p, graphErr(http.StatusBadRequest, "TimeZoneNotSupportedException", "A valid TimeZone value must be specified. The following TimeZone value is not supported: '%s'.", m[1])
		}
		p.zoneName, p.zone = m[1], zone
	}
	if m := preferPage.FindStringSubmatch(text); m != nil {
		size, err := strconv.Atoi(m[1])
		if err != nil || size < 1 || size > 1000 {
			return p, badRequest("Invalid value of odata.maxpagesize: '%s'.", m[1])
		}
		p.pageSize = size
	}
	return p, nil
}

// applied is the Preference-Applied header.
func (p preferences) applied() http.Header {
	parts := []string{`outlook.timezone="` + p.zoneName + `"`}
	if p.immutable {
		parts = append(parts, `IdType="ImmutableId"`)
	}
	return http.Header{"Preference-Applied": {strings.Join(parts, ", ")}}
}

// outlookTime is how Outlook writes a time: no offset, seven digits of a second.
const outlookTime = "2006-01-02T15:04:05.0000000"

// moment is microsoft.graph.dateTimeTimeZone in the zone that was asked for.
func (p preferences) moment(at time.Time) map[string]any {
	return map[string]any{"dateTime": at.In(p.zone).Format(outlookTime), "timeZone": p.zoneName}
}

// midnight is the beginning of a date of an all-day event. Dates are the same in
// whatever zone is asked for.
func (p preferences) midnight(date time.Time) map[string]any {
	return map[string]any{"dateTime": date.Format(outlookTime), "timeZone": p.zoneName}
}

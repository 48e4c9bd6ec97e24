package graph_test

import (
	"testing"
	"time"

	"offhook.dev/libs/graph"
)

func TestATimeZoneIsKnownByEitherName(t *testing.T) {
	summer, winter := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name           string
		summer, winter string // what a clock shows at noon UTC
	}{
		{"UTC", "12:00", "12:00"},
		{"W. Europe Standard Time", "14:00", "13:00"},
		{"w. europe standard time", "14:00", "13:00"},
		{"Pacific Standard Time", "05:00", "04:00"},
		{"India Standard Time", "17:30", "17:30"},
		{"AUS Eastern Standard Time", "22:00", "23:00"},
		{"UTC-11", "01:00", "01:00"},
		{"UTC+13", "01:00", "01:00"},
		{"Europe/Berlin", "14:00", "13:00"},
	}
	for _, test := range tests {
		zone, err := graph.ParseZone(test.name)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if s, w := summer.In(zone).Format("15:04"), winter.In(zone).Format("15:04"); s != test.summer || w != test.winter {
			t.Errorf("%s: %s in July and %s in January, want %s and %s", test.name, s, w, test.summer, test.winter)
		}
	}
	for _, bad := range []string{"", "Local", "local", "tzone://Microsoft/Custom", "Customized Time Zone", "../etc/passwd", "Mars Standard Time"} {
		if zone, err := graph.ParseZone(bad); err == nil {
			t.Errorf("%q is %v", bad, zone)
		}
	}
}

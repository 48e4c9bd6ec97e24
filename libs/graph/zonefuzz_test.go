package graph_test

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph"
)

// A zone is one of the world, never the machine's own, and its name leads to it again.
func FuzzParseZone(f *testing.F) {
	for _, name := range []string{"UTC", "w. europe standard time", "Europe/Berlin", "Etc/GMT+12", "Local", "LOCAL", "", "tzone://Microsoft/Custom", "../etc/passwd", "/etc/localtime", "Europe\\Berlin", "Europe", "Factory", "\x00", strings.Repeat("a/", 4096)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		zone, err := graph.ParseZone(name)
		if err != nil {
			if zone != nil {
				t.Errorf("%q is %v and %v", name, zone, err)
			}
			return
		}
		if zone == time.Local || zone.String() == "Local" || zone.String() == "" || strings.Contains(name, "..") {
			t.Fatalf("%q is %q", name, zone)
		}
		again, err := graph.ParseZone(zone.String())
		if err != nil {
			t.Fatalf("%q is %s, which is none: %v", name, zone, err)
		}
		for at := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2100; at = at.AddDate(5, 1, 0) {
			_, here := at.In(zone).Zone()
			if _, there := at.In(again).Zone(); here != there || max(here, -here) >= 24*3600 {
				t.Fatalf("%q is %d s from UTC at %v, and %d s as %s", name, here, at, there, zone)
			}
		}
	})
}

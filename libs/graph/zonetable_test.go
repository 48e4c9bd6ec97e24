package graph

import (
	"strings"
	"testing"
)

func TestEveryWindowsZoneHasAPlaceThatExists(t *testing.T) {
	if len(windowsZones) < 130 {
		t.Errorf("%d zones: Windows has more", len(windowsZones))
	}
	for name := range windowsZones {
		if name != strings.ToLower(name) {
			t.Errorf("%q would never be found", name)
		}
		if _, err := ParseZone(strings.ToUpper(name)); err != nil {
			t.Error(err)
		}
	}
}

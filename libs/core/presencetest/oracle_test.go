package presencetest

import (
	"slices"
	"strings"
	"testing"
)

// The oracle is judged by hand, on histories of a few ticks: a = available,
// w = away, d = dnd, l = lunch, . = nothing.
func TestExpected(t *testing.T) {
	phone := Line{FirstStatus: "available", Rings: []string{"available", "lunch"}, Writes: []string{"available", "away", "dnd", "lunch"}}
	dndOnly := Line{FirstStatus: "available", Rings: []string{"available"}, Writes: []string{"available", "dnd"}}
	auto := Rules{Policy: "auto", Base: "available", MaxAt: 99, Keep: 3, Stale: 5}
	damped, early := auto, auto
	damped.Damping, early.MaxAt = 2, 4
	busy, free, unknown := Reading{0, "Busy", ""}, Reading{4, "Available", ""}, Reading{4, "Unheard", ""}
	for name, test := range map[string]struct {
		h    History
		want string
	}{
		"Teams shows":                    {History{Readings: []Reading{busy, free}, Rules: auto}, "ddddaaaa"},
		"nothing before it is read":      {History{Readings: []Reading{{2, "Busy", ""}}, Rules: auto}, "..dddddd"},
		"towards ringing it waits":       {History{Readings: []Reading{busy, free}, Rules: damped}, "ddddddaa"},
		"a short ring is swallowed":      {History{Readings: []Reading{busy, free, {5, "Busy", ""}}, Rules: damped}, "dddddddd"},
		"unknown is kept, then released": {History{Readings: []Reading{busy, unknown}, Rules: auto}, "dddddddaa"},
		"an unread source has no opinion": {History{Readings: []Reading{busy}, Rules: auto,
			Blind: []bool{false, false, true, true, true, true, true, true, false}}, "ddddddaad"},
		"rule 1 stays":                 {History{Readings: []Reading{free}, Choices: []Choice{{At: 5, Status: "away"}}, Rules: auto}, "....awww"},
		"rule 1 ends at manual_max":    {History{Readings: []Reading{{0, "Available", ""}}, Choices: []Choice{{At: 1, Status: "away"}}, Rules: early}, "awwwaaaa"},
		"rule 2 stays until U changes": {History{Readings: []Reading{busy, free, {6, "Busy", ""}}, Choices: []Choice{{At: 2, Status: "lunch"}}, Rules: auto}, "ddllaadd"},
		"rule 3 shows a dnd and returns": {History{Readings: []Reading{{0, "Available", ""}, {3, "Busy", ""}, {5, "Available", ""}},
			Choices: []Choice{{At: 1, Status: "lunch"}}, Rules: auto}, "allddlll"},
		"choosing what shows ends it": {History{Readings: []Reading{{0, "Available", ""}, {5, "Busy", ""}},
			Choices: []Choice{{At: 1, Status: "dnd"}, {At: 3, Status: "available"}}, Rules: auto}, "addaaddd"},
		"what shows only a moment longer is chosen": {History{Readings: []Reading{busy, free},
			Choices: []Choice{{At: 1, Status: "available"}, {At: 5, Status: "dnd"}}, Rules: damped}, "daaaaddd"},
		"a time is kept":    {History{Readings: []Reading{busy, free}, Choices: []Choice{{At: 1, Line: -1, Status: "dnd", Offhook: true, Until: 6}}, Rules: auto}, "ddddddaa"},
		"away is projected": {History{Readings: []Reading{{0, "Away", ""}, {4, "Busy", ""}}, Lines: []Line{dndOnly}, Rules: auto}, "aaaadddd"},
	} {
		t.Run(name, func(t *testing.T) {
			h := test.h
			h.Ticks = len(test.want)
			if h.Lines == nil {
				h.Lines = []Line{phone}
			}
			h.Blind = append(slices.Clone(h.Blind), make([]bool, h.Ticks)...)
			var got strings.Builder
			for _, status := range Expected(h)[0] {
				got.WriteString(map[string]string{"": ".", "available": "a", "away": "w", "dnd": "d", "lunch": "l"}[status])
			}
			if got.String() != test.want {
				t.Errorf("%s, not %s", got.String(), test.want)
			}
		})
	}
}

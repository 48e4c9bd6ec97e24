package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source string // the file, the environment variable, or "flag" and its name
	Line   int    // in the file, from 1; 0 where there is none
	Key    string // "tenants[0].presence.mode"; empty where the whole source is meant
	What   string // what is wrong
	Fix    string // what to do
}

// String returns the problem in one line: where, key, what, fix.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	return b.String() + ": " + p.What + "; " + p.Fix
}

// Problems is everything that is wrong with a configuration, by source and line.
// It is the only error of Load.
type Problems []Problem

// Error returns one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line))
	})
}

// nearest returns the word that name was probably meant to be, or "".
func nearest(name string, words []string) string {
	best, limit := "", len(name)/3+1
	switch {
	case len(name) < 4:
		limit = 2 // one slip
	case len(name) < 6:
		limit = 3 // two, as in an exchange of letters
	}
	for _, word := range words {
		if d := distance(strings.ToLower(name), strings.ToLower(word)); d < limit {
			best, limit = word, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and replacements between two
// words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

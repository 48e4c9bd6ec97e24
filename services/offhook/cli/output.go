package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// format is the value of -o: "table" for people or "json".
type format string

func outputFlag(c *cobra.Command) *format {
	f := format("table")
	c.Flags().VarP(&f, "output", "o", "table or json")
	return &f
}

func (f *format) json() bool     { return *f == "json" }
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (*format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if text != "table" && text != "json" {
		return fmt.Errorf("must be table or json")
	}
	*f = format(text)
	return nil
}

// printJSON prints one value, indented.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printTable prints rows in columns; the first row is the heading.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = plain(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// plain keeps names that come from a directory from moving the cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// or is text, or "-" where there is none.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// age words a duration with one unit.
func age(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", ms)
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// clock is the time of day, with the date where that is not today.
func (a *app) clock(t time.Time) string {
	t, today := t.In(a.zone), a.now().In(a.zone)
	if t.YearDay() == today.YearDay() && t.Year() == today.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// Colours of statuses, as ANSI codes: green rings, red does not, the rest is between.
var statusColors = map[string]string{"available": "32", "dnd": "31", "away": "33", "lunch": "33", "business-trip": "33"}

// status words a status, in its colour where colours are wanted.
func (a *app) status(word string) string {
	color, known := statusColors[word]
	if !a.color || !known {
		return or(word)
	}
	return "\x1b[" + color + "m" + word + "\x1b[0m"
}

package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// print writes the report as a Markdown table that is also aligned for the eye.
func (r Report) print(w io.Writer) error {
	var b strings.Builder
	widths := make([]int, len(r.Columns))
	for _, row := range append([][]string{r.Columns}, r.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString("|\n")
	}
	line(r.Columns)
	for _, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+2))
	}
	b.WriteString("|\n")
	for _, row := range r.Rows {
		line(row)
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, note := range r.Notes {
		b.WriteString("- " + note + "\n")
	}
	for _, wrong := range r.Wrong {
		b.WriteString("- WRONG: " + wrong + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text writes a cell: durations with three digits, floats with as many as matter.
func text(cell any) string {
	switch c := cell.(type) {
	case time.Duration:
		return short(c)
	case float64:
		switch {
		case c >= 100:
			return fmt.Sprintf("%.0f", c)
		case c >= 10:
			return fmt.Sprintf("%.1f", c)
		}
		return fmt.Sprintf("%.2f", c)
	case percent:
		return fmt.Sprintf("%.0f %%", 100*float64(c))
	case size:
		return fmt.Sprintf("%.1f MB", float64(c)/1e6)
	}
	return fmt.Sprint(cell)
}

type (
	percent float64 // 1 is 100 %
	size    int64   // bytes
)

// short rounds a duration to three digits.
func short(d time.Duration) string {
	for unit := time.Duration(1); unit < time.Hour; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}

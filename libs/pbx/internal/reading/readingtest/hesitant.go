// Package readingtest has what tests of readers need who may be interrupted.
package readingtest

import (
	"io"
	"os"
)

// Hesitant is a stream in which a deadline passes before each piece, and before the end.
type Hesitant struct {
	Text  string
	Piece int // how many bytes one Read returns at most

	passed bool
}

func (h *Hesitant) Read(p []byte) (int, error) {
	if h.passed = !h.passed; h.passed {
		return 0, os.ErrDeadlineExceeded
	}
	if h.Text == "" {
		return 0, io.EOF
	}
	n := copy(p, h.Text[:min(h.Piece, len(h.Text))])
	h.Text = h.Text[n:]
	return n, nil
}

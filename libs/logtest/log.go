// Package logtest keeps what is logged or printed for tests that read it, also while it is
// still being written.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Log is an io.Writer that remembers. The zero value is empty.
type Log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all of it so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count says how often a text stands in it.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Lines are those that hold a text.
func (l *Log) Lines(with string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return found
}

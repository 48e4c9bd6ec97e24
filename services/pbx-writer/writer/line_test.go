package writer

import (
	"testing"
	"unsafe"
)

// A writer of 100,000 extensions has a line for each, and memory for as much again until
// the collector has worked.
func TestALineIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(line{}); size > 208 {
		t.Errorf("a line takes %d bytes, and 208 are what the next smaller size of the allocator holds: can what few lines have go into rare?", size)
	}
}

package portsip

import (
	"cmp"
	"sync"

	"offhook.dev/libs/core/fault"
)

// The two spellings of available: up to 22.2, and since 22.3.
const (
	availableOld = "AVAILABLE"
	availableNew = "ONLINE"
)

// spelling is how this phone system wants available to be written. It does not tell its
// version to a tenant, so the spelling is that in which it told a status last; that a
// write takes the same one is not confirmed, so one that was refused where the other was
// taken counts more than what is told. While nothing is known it is that of the vendor's
// published description.
type spelling struct {
	mu      sync.Mutex
	told    string // by a status, last; "": by none
	refused string // to a write, last; "": none was
}

// read learns from a presence that was read; nil and others than available teach nothing.
func (s *spelling) read(presence *string) {
	if presence == nil {
		return
	}
	if name := folded(*presence); name == availableOld || name == availableNew {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = name
	}
}

// both are the spellings, the likelier one first.
func (s *spelling) both() (first, second string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first = cmp.Or(s.told, availableOld); first == s.refused {
		first = otherSpelling(first)
	}
	return first, otherSpelling(first)
}

func otherSpelling(name string) string {
	if name == availableOld {
		return availableNew
	}
	return availableOld
}

// write sends available as it is likely to be taken, and where that is refused once more in
// the other spelling. With which code a value is refused that there is not is not documented
// (the description has VALIDATE_FAILED and "4XX"), so whatever says that the request was not
// right is enough: the refused one has done nothing, and if it was something else the other
// is refused as well, and it is told why the first was.
func (s *spelling) write(send func(available string) error) error {
	first, second := s.both()
	err := send(first)
	if err == nil || !misspelt(err) {
		return err
	}
	switch again := send(second); {
	case again == nil:
		s.mu.Lock()
		s.refused = first
		s.mu.Unlock()
		return nil
	case !misspelt(again): // that one may have been right
		return again
	}
	return err
}

// misspelt says whether a word may be why a write was refused.
func misspelt(err error) bool { return refused(err) && fault.KindOf(err) == fault.Invalid }

package sippresence

import (
	"context"
	"sync"

	"offhook.dev/libs/core/identity"
)

// shelf is a Publications that outlives drivers, in memory.
type shelf struct {
	mu     sync.Mutex
	all    map[subject]Publication
	closed int
}

func newShelf() *shelf { return &shelf{all: make(map[subject]Publication)} }

func (s *shelf) All(context.Context) ([]Publication, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Publication
	for _, p := range s.all {
		all = append(all, p)
	}
	return all, nil
}

func (s *shelf) Keep(p Publication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[subject{p.Extension, p.Event}] = p
}

func (s *shelf) Forget(ext identity.Extension, event Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, subject{ext, event})
}

func (s *shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

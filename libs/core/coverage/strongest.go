package coverage

// strongest keeps the n strongest of all that are added: most users of a large tenant
// can get no place, and need not be sorted.
type strongest struct {
	n       int
	compare func(a, b int) int // the stronger first
	heap    []int              // each weaker than its children: the weakest is at the root
}

func (s *strongest) add(u int) {
	switch {
	case s.n == 0:
	case len(s.heap) < s.n:
		s.heap = append(s.heap, u)
		s.up(len(s.heap) - 1)
	case s.compare(u, s.heap[0]) < 0:
		s.heap[0] = u
		s.down(0)
	}
}

// weaker says whether a must be nearer to the root than b.
func (s *strongest) weaker(a, b int) bool { return s.compare(s.heap[a], s.heap[b]) > 0 }

func (s *strongest) up(i int) {
	for parent := (i - 1) / 2; i > 0 && s.weaker(i, parent); i, parent = parent, (parent-1)/2 {
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
	}
}

func (s *strongest) down(i int) {
	for {
		weakest := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.weaker(child, weakest) {
				weakest = child
			}
		}
		if weakest == i {
			return
		}
		s.heap[i], s.heap[weakest] = s.heap[weakest], s.heap[i]
		i = weakest
	}
}

package usersync

import "sync"

// words are texts that many have in common, such as departments: each is kept once, and
// packed as a number. The first ones that come are words; what comes when there are many
// is packed as it is.
type words struct {
	mu      sync.RWMutex // guards what follows
	numbers map[string]uint64
	all     []string
}

// mostWords is how many there are at most.
const mostWords = 4096

func newWords() *words { return &words{numbers: map[string]uint64{}} }

// number is that of a word, from 1; 0: it is none, and there is no room for another.
func (w *words) number(s string) uint64 {
	w.mu.RLock()
	n := w.numbers[s]
	full := len(w.all) == mostWords
	w.mu.RUnlock()
	if n > 0 || full {
		return n
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = w.numbers[s]; n == 0 && len(w.all) < mostWords {
		s = string([]byte(s)) // not a part of something large
		w.all = append(w.all, s)
		n = uint64(len(w.all))
		w.numbers[s] = n
	}
	return n
}

// text is the word of a number.
func (w *words) text(n uint64) string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.all[n-1]
}

// word packs a text that many have in common.
func (p *packer) word(s string) {
	n := p.words.number(s)
	if p.number(n); n == 0 {
		p.text(s)
	}
}

func (u *unpacker) word() string {
	if n := u.number(); n > 0 {
		return u.words.text(n)
	}
	return u.text()
}

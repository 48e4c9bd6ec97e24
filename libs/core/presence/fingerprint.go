package presence

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"
)

// Fingerprint is a short text that two Options share if they say the same, and hardly
// ever otherwise, in every process and version. It is remembered beside what was decided
// under the options, so that it can be told who is decided again after a change. It is no
// secret and no protection.
func (o Options) Fingerprint() string {
	var said words
	for _, word := range []string{string(o.Mode), string(o.Combine), string(o.Manual.Policy), string(o.Manual.Scope), o.Manual.zone().String()} {
		said = said.text(word)
	}
	for _, number := range []int64{int64(o.Base), int64(o.Manual.Max), int64(o.Damping), int64(o.StaleAfter), o.PausedUntil.Unix(), int64(o.PausedUntil.Nanosecond())} {
		said = said.number(number)
	}
	said = said.yes(o.TeamsAbsent)
	var table uint64 // a sum: a map has no order
	var entry words
	for key, says := range o.Teams.meanings {
		entry = entry[:0].text(key).number(int64(says.Status)).number(int64(says.After)).yes(says.Keep)
		table += entry.sum()
	}
	said = said.number(int64(table))
	for _, says := range o.Calendar.says {
		said = said.number(int64(says))
	}
	for _, shows := range o.PBX.shows {
		said = said.text(shows)
	}
	return fmt.Sprintf("%016x", said.sum())
}

// zone is that of Max.
func (m Manual) zone() *time.Location {
	if m.Zone == nil {
		return time.UTC
	}
	return m.Zone
}

// words are texts and numbers, one after the other.
type words []byte

// text adds a text, and its end.
func (w words) text(s string) words { return append(append(w, s...), 0xff) } // which no text in UTF-8 holds

func (w words) number(n int64) words { return binary.BigEndian.AppendUint64(w, uint64(n)) }

func (w words) yes(b bool) words {
	if b {
		return append(w, 1)
	}
	return append(w, 0)
}

func (w words) sum() uint64 {
	h := fnv.New64a()
	_, _ = h.Write(w) // documented never to fail
	return h.Sum64()
}

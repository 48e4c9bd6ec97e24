package presence

import (
	"fmt"
	"time"
)

// Fingerprint is a short text that two Options share if they say the same, and hardly
// ever otherwise. It is remembered beside what was decided under the options, so that it
// can be told who is decided again after a change. It is no secret and no protection.
func (o Options) Fingerprint() string {
	h := basis
	for _, word := range []string{string(o.Mode), string(o.Combine), string(o.Manual.Policy), string(o.Manual.Scope), o.Manual.zone().String()} {
		h = h.text(word)
	}
	for _, number := range []int64{int64(o.Base), int64(o.Manual.Max), int64(o.Damping), int64(o.StaleAfter), o.PausedUntil.Unix(), int64(o.PausedUntil.Nanosecond())} {
		h = h.number(number)
	}
	if o.TeamsAbsent {
		h = h.number(1)
	}
	var table digest // a sum: a map has no order
	for key, says := range o.Teams.meanings {
		entry := basis.text(key).number(int64(says.Status)).number(int64(says.After))
		if says.Keep {
			entry = entry.number(1)
		}
		table += entry
	}
	h = h.number(int64(table))
	for _, says := range o.Calendar.says {
		h = h.number(int64(says))
	}
	for _, shows := range o.PBX.shows {
		h = h.text(shows)
	}
	return fmt.Sprintf("%016x", uint64(h))
}

// zone is that of Max.
func (m Manual) zone() *time.Location {
	if m.Zone == nil {
		return time.UTC
	}
	return m.Zone
}

// digest is a hash of 64 bits, FNV-1a: the same in every process and version of Go.
type digest uint64

const basis digest = 0xcbf29ce484222325

func (d digest) octet(b byte) digest { return (d ^ digest(b)) * 0x100000001b3 }

// text adds a text, and its end.
func (d digest) text(s string) digest {
	for i := range len(s) {
		d = d.octet(s[i])
	}
	return d.octet(0xff) // which no text in UTF-8 holds
}

func (d digest) number(n int64) digest {
	for shift := 0; shift < 64; shift += 8 {
		d = d.octet(byte(n >> shift))
	}
	return d
}

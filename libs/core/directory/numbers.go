package directory

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"offhook.dev/libs/core/identity"
)

// maxDigits is the longest number that Offhook chooses.
const maxDigits = 15

// number is an extension of digits only. "0200" and "200" are two.
type number struct {
	digits int
	value  uint64
}

func parseNumber(e identity.Extension) (number, bool) {
	if len(e) == 0 || len(e) > maxDigits {
		return number{}, false
	}
	n := number{digits: len(e)}
	for i := range len(e) {
		if e[i] < '0' || e[i] > '9' {
			return number{}, false
		}
		n.value = 10*n.value + uint64(e[i]-'0')
	}
	return n, true
}

func (n number) extension() identity.Extension {
	const zeros = "000000000000000"
	var text [maxDigits]byte
	s := strconv.AppendUint(text[:0], n.value, 10)
	if missing := n.digits - len(s); missing > 0 {
		return identity.Extension(zeros[:missing] + string(s))
	}
	return identity.Extension(s)
}

// highest is the last number of a width.
func highest(digits int) uint64 {
	v := uint64(1)
	for range digits {
		v *= 10
	}
	return v - 1
}

// pool is a range that numbers are taken from, the lowest first.
type pool struct {
	digits   int
	next, to uint64
}

// allocator gives every number once.
type allocator struct {
	used  map[number]struct{}
	pools map[poolKey]*pool
	first number // where numbers begin for who has no start
}

type poolKey struct {
	rules *Rules
	index int // of the range, or open
}

const open = -1

// newAllocator returns one for so many users that never gives a number that the phone
// system has, or that a record keeps.
func newAllocator(v *View, lists *Lists, users int) *allocator {
	a := &allocator{used: make(map[number]struct{}, lists.Extensions.Len()+len(v.Taken)+users), pools: map[poolKey]*pool{}}
	widths := map[int]int{}
	for i := range lists.Extensions.Len() {
		if n, ok := parseNumber(lists.Extensions.At(i).Number); ok {
			a.used[n] = struct{}{}
			widths[n.digits]++
		}
	}
	for _, t := range v.Taken {
		a.take(t)
	}
	for i := range lists.Records.Len() {
		a.take(lists.Records.At(i).Line.Extension)
	}
	for _, e := range v.Explicit { // who is configured to have it may still get it
		a.take(e.Number)
	}
	a.first = usual(widths)
	return a
}

func (a *allocator) take(e identity.Extension) {
	if n, ok := parseNumber(e); ok {
		a.used[n] = struct{}{}
	}
}

// usual returns the first number of the width that most extensions have, the shorter one
// of two: 100 where there are none.
func usual(widths map[int]int) number {
	best := 3
	for _, digits := range slices.Sorted(maps.Keys(widths)) {
		if cmp.Or(cmp.Compare(widths[digits], widths[best]), cmp.Compare(best, digits)) > 0 {
			best = digits
		}
	}
	return number{best, (highest(best) + 1) / 10}
}

// give returns the number for a new user. ok is false where their range is full, and
// where then names it.
func (a *allocator) give(u *User, rules *Rules) (e identity.Extension, where string, ok bool) {
	p := a.pool(u, rules)
	for p.next <= p.to {
		n := number{p.digits, p.next}
		p.next++
		if _, used := a.used[n]; !used {
			a.used[n] = struct{}{}
			return n.extension(), "", true
		}
	}
	return "", "up to " + string(number{p.digits, p.to}.extension()), false
}

func (a *allocator) pool(u *User, rules *Rules) *pool {
	index := slices.IndexFunc(rules.Ranges, func(r Range) bool { return r.fits(u) })
	key := poolKey{rules, index}
	if p := a.pools[key]; p != nil {
		return p
	}
	p := &pool{}
	if index == open {
		start := a.first
		if rules.Start != "" {
			start, _ = parseNumber(rules.Start)
		}
		*p = pool{start.digits, start.value, highest(start.digits)}
	} else {
		from, _ := parseNumber(rules.Ranges[index].From)
		to, _ := parseNumber(rules.Ranges[index].To)
		*p = pool{from.digits, from.value, to.value}
	}
	a.pools[key] = p
	return p
}

package contactsync

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/plans"
)

// The parts of a plan's basis, with one for each phone system of the tenant. That of the
// books is their newest revision: what follows from it is the digest's matter. The others
// say which changes there would be, also where there are none yet, so a plan is refused
// when they are not as they were.
const (
	basisBooks  = "books"
	basisRules  = "rules"
	basisLinks  = "links"
	basisSystem = "system "
)

// basis is what a plan is made of beside the books. Each part stands for what it says, so
// that a fact that comes again makes no plan stale.
func (t *tenant) basis() map[string]uint64 {
	basis := map[string]uint64{basisRules: sum(t.conf), basisLinks: t.linksSum()}
	for _, id := range t.conf.Systems {
		if system, known := t.s.system(id); known {
			basis[basisSystem+string(id)] = sum(abilitiesOf(system))
		}
	}
	return basis
}

// linksSum stands for who has which extension, as far as a phonebook depends on it: a sum,
// so that nothing has to be kept of everybody or brought into an order.
func (t *tenant) linksSum() (all uint64) {
	if !t.conf.Personal {
		return 0
	}
	for _, who := range t.s.links.People(t.conf.ID) {
		for _, l := range t.s.links.Of(who) {
			if t.serves(l.System) {
				all += sum([]string{string(l.System), string(l.Extension), string(who.User)})
			}
		}
	}
	return all & most
}

// sum is a number for a value, of which maps may be in any order. Programs read it from
// JSON, so it has no more bits than their numbers.
func sum(of any) uint64 {
	all := sha256.New()
	fmt.Fprintf(all, "%#v", of)
	return binary.BigEndian.Uint64(all.Sum(nil)) & most
}

// most is the greatest number that every reader of JSON takes exactly.
const most = 1<<52 - 1

// stillOn returns nil if a plan was made of what there is now.
func (t *tenant) stillOn(p plans.Head) error {
	now := t.basis()
	var other []string
	now[basisBooks] = p.Basis[basisBooks]
	for part, is := range now {
		if was, known := p.Basis[part]; !known || was != is {
			other = append(other, part)
		}
	}
	for part := range p.Basis {
		if _, known := now[part]; !known {
			other = append(other, part)
		}
	}
	if len(other) == 0 {
		return nil
	}
	slices.Sort(other)
	return fault.Errorf(fault.Stale, "plan: "+p.ID, "what it was made of has changed (%s): make a new one", strings.Join(other, ", "))
}

package pbxsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// By says who made an extension show what it shows.
type By string

// Who can.
const (
	ByStart   By = "start"   // nobody yet
	ByPerson  By = "person"  // somebody at the phone (SetStatus, control)
	ByWrite   By = "write"   // the interface
	ByRestart By = "restart" // a write was forgotten in a Restart
)

// Shown is what one extension shows: the truth to compare with.
type Shown struct {
	directory.Extension
	Status presence.Status `json:"status"`
	Since  time.Time       `json:"since"` // when it was last set, also to the same status
	By     By              `json:"by"`
}

// Write is one line of the ledger: a status write that was carried out.
type Write struct {
	Number     int                `json:"number"` // 1, 2, ...
	At         time.Time          `json:"at"`
	Extension  identity.Extension `json:"extension"`
	Status     presence.Status    `json:"status"`
	Before     presence.Status    `json:"before"`
	Connection uint64             `json:"connection"` // 1, 2, ...
}

// extension is one extension inside: Shown and what only the face tells.
type extension struct {
	Shown
	id         int32
	primary    int32             // the department that it belongs to
	members    []member          // all departments that it is in
	properties map[string]string // by name; nil without any
	kept       bool              // it cannot be deleted
}

// world is the state of the phone system, independent of its face.
type world struct {
	mu         sync.Mutex
	extensions []*extension // by id
	byNumber   map[identity.Extension]*extension
	nextID     int32
	groups     []*group                    // by id; the first is the default
	queues     map[identity.Extension]bool // numbers that belong to something else
	licence    int
	license    license // how many extensions there may be; 0: any number
	books      books
	ledger     []Write
	changes    []Change
	forgotten  int // writes at the end of the ledger that a restart has undone
	sync       pbx.SyncState

	calls     []*call // oldest first
	callCount int
	legCount  int32
	watchers  *watchers
	seen      []identity.Extension // whose calls clients may see; nil: everybody's
}

// firstID is the face's id of the first extension: ids are not numbers.
const firstID = 21

func newWorld(config Config, f *faults) *world {
	w := &world{byNumber: make(map[identity.Extension]*extension), watchers: newWatchers(f), seen: config.Monitored,
		nextID: firstID, groups: []*group{{id: 1, name: "DEFAULT"}}, queues: make(map[identity.Extension]bool),
		licence: config.Licence, books: newBooks()}
	dice := rand.New(rand.NewPCG(config.Seed, 0))
	now := time.Now()
	next := config.FirstNumber
	taken := make(map[identity.Extension]bool)
	for _, person := range config.People {
		taken[person.Number] = true
	}
	for i := range max(config.Extensions, len(config.People)) {
		person := invent(dice)
		if i < len(config.People) {
			person = config.People[i]
		}
		for person.Number == "" {
			if free := identity.Extension(strconv.Itoa(next)); !taken[free] {
				person.Number = free
			}
			next++
		}
		w.add(&extension{Shown: Shown{
			Extension: directory.Extension{
				Number: person.Number, Enabled: true,
				Fields: directory.Fields{FirstName: person.FirstName, LastName: person.LastName, Mail: person.Mail,
					DisplayName: strings.TrimSpace(person.FirstName + " " + person.LastName)},
			},
			Status: presence.Available, Since: now, By: ByStart,
		}})
	}
	return w
}

var (
	firstNames = []string{"Ada", "Bela", "Chiara", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaja", "Luca"}
	lastNames  = []string{"Abel", "Brandt", "Costa", "Duval", "Engel", "Fuchs", "Garcia", "Holm", "Ivanova", "Jansen", "Keller", "Lind"}
)

func invent(dice *rand.Rand) Person {
	p := Person{FirstName: firstNames[dice.IntN(len(firstNames))], LastName: lastNames[dice.IntN(len(lastNames))]}
	p.Mail = strings.ToLower(fmt.Sprintf("%s.%s.%d@example.com", p.FirstName, p.LastName, dice.IntN(1_000_000)))
	return p
}

// Truth returns what every extension shows, by number.
func (s *Sim) Truth() []Shown {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	all := make([]Shown, 0, len(s.world.extensions))
	for _, e := range s.world.extensions {
		all = append(all, e.Shown)
	}
	slices.SortFunc(all, func(a, b Shown) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// Shown returns what one extension shows; false if there is none.
func (s *Sim) Shown(ext identity.Extension) (Shown, bool) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	e, ok := s.world.byNumber[ext]
	if !ok {
		return Shown{}, false
	}
	return e.Shown, true
}

// SetStatus sets a status as a person at the phone does; presence.Unset stands
// for a profile of the administrator's own. It says whether there is such an
// extension.
func (s *Sim) SetStatus(ext identity.Extension, status presence.Status) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	e, ok := s.world.byNumber[ext]
	if ok {
		e.Status, e.Since, e.By = status, time.Now(), ByPerson
	}
	return ok
}

// Remove deletes an extension, as an administrator does.
func (s *Sim) Remove(ext identity.Extension) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	e, ok := s.world.byNumber[ext]
	if ok {
		s.world.remove(e)
	}
	return ok
}

// Recreate deletes an extension and makes it again, with a new internal id.
func (s *Sim) Recreate(ext identity.Extension) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	old, ok := s.world.byNumber[ext]
	if ok {
		made := *old
		s.world.remove(old)
		s.world.add(&made)
	}
	return ok
}

// Writes returns the ledger.
func (s *Sim) Writes() []Write {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return slices.Clone(s.world.ledger)
}

// SetNativeSync says what the phone system synchronises with Microsoft 365 itself.
func (s *Sim) SetNativeSync(state pbx.SyncState) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.sync = state
}

// write carries out a status write. mu is held.
func (w *world) write(e *extension, status presence.Status, connection uint64) {
	now := time.Now()
	w.ledger = append(w.ledger, Write{
		Number: len(w.ledger) + 1, At: now, Extension: e.Number,
		Status: status, Before: e.Status, Connection: connection,
	})
	w.forgotten = 0
	e.Status, e.Since, e.By = status, now, ByWrite
}

// revert ends all calls and undoes the newest n writes, newest first, where nobody
// has set anything since. The ledger keeps them: they were acknowledged.
func (w *world) revert(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
	for ; n > 0 && w.forgotten < len(w.ledger); n-- {
		w.forgotten++
		undone := w.ledger[len(w.ledger)-w.forgotten]
		e, ok := w.byNumber[undone.Extension]
		if ok && e.By != ByPerson && e.Status == undone.Status {
			e.Status, e.Since, e.By = undone.Before, time.Now(), ByRestart
		}
	}
}

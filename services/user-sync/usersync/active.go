package usersync

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// active is what goes on while the lease is held.
type active struct {
	mu       sync.Mutex           // guards what follows
	applying map[string]*applying // plans, by their ids
	began    time.Time
	filled   bool                       // the first plan is made
	said     map[identity.System]string // the last report
	warned   map[Conflict]bool
}

func newActive() *active {
	return &active{applying: map[string]*applying{}, began: time.Now(), said: map[identity.System]string{}, warned: map[Conflict]bool{}}
}

// fill is how long a first plan waits at most for the directory to be read.
const fill = time.Minute

// ready says whether plans can be made: nothing new was heard for a moment, as when a
// directory has been read, or it has taken too long. Of nobody there is nothing to plan.
func (a *active) ready(f *facts, enough time.Duration) bool {
	quiet, known := f.quiet()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.filled = a.filled || known && (quiet >= enough || time.Since(a.began) > fill)
	return a.filled
}

// news says whether the report differs from the last one.
func (a *active) news(system identity.System, brake plan.State, counts map[plan.Op]int) bool {
	report := fmt.Sprint(brake, counts)
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.said[system]
	a.said[system] = report
	return before != report
}

// first says whether a conflict is reported for the first time.
func (a *active) first(c Conflict) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.warned[c] {
		return false
	}
	c.Person.User = identity.User(strings.Clone(string(c.Person.User))) // see packer
	a.warned[c] = true
	return true
}

package plan

import (
	"fmt"
	"time"

	"offhook.dev/libs/core/fault"
)

// Op is what a change does.
type Op string

// The operations. Skip and Conflict do nothing; they say why.
const (
	Create   Op = "create"
	Update   Op = "update"
	Adopt    Op = "adopt"    // what is there already becomes Offhook's
	Disable  Op = "disable"  // of somebody who left; it can be undone
	Delete   Op = "delete"   // for good, after the hold
	Return   Op = "return"   // of somebody who left and is back within the hold
	Skip     Op = "skip"     // nothing is done, for the reason that is told
	Conflict Op = "conflict" // it could be several things and would be a guess
)

// Acts says whether the operation changes anything.
func (o Op) Acts() bool { return o != Skip && o != Conflict }

// Removes says whether it takes something away: what the brake counts.
func (o Op) Removes() bool { return o == Disable || o == Delete }

// Change is one line of a plan.
type Change struct {
	Op     Op     `json:"op"`
	Object string `json:"object"` // what it is about, once per kind of object: "contoso/<object id>"
	// Line is where: "hq/204", or "" where there is no extension.
	Line string `json:"line,omitempty"`
	// Name is what people call the object.
	Name   string        `json:"name,omitempty"`
	Fields []FieldChange `json:"fields,omitempty"`
	// Reason is a word of the closed list of whoever planned; Detail says the rest to people.
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Held says that the brake holds it back: it is done only when forced.
	Held bool `json:"held,omitempty"`
	// Remarks are what a person should know of values of the object, whatever is done.
	Remarks []Remark `json:"remarks,omitempty"`
	// Tried is what came of it when it was last tried in vain, before the plan was made;
	// nil: it was not, as far as is known.
	Tried *Attempt `json:"tried,omitempty"`
	// Result is what came of it when the plan was applied; nil: it was not yet, or
	// something newer has happened there.
	Result *Attempt `json:"result,omitempty"`
}

// Remark is something about a value of an object: it is not as Microsoft 365 has it, or
// another object has it as well.
type Remark struct {
	Field string `json:"field,omitempty"` // "" where it is about the whole
	// Reason is a word of the closed list of whoever planned; Detail says the rest to people.
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// Attempt is what came of a change when it was tried.
type Attempt struct {
	At time.Time `json:"at"`
	// Result is a word of whoever tried: "done", "refused"; Detail says the rest to people.
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// Key is the name by which the brake counts: the object, and where.
func (c Change) Key() string {
	if c.Line == "" {
		return c.Object
	}
	return c.Object + " " + c.Line
}

// FieldChange is the change of one field. A field without a value is "".
type FieldChange struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan is what a run would do, as it is shown and asked for.
type Plan struct {
	ID string `json:"id"`
	// Basis is the revision of each thing that was looked at.
	Basis   map[string]uint64 `json:"basis"`
	Expires time.Time         `json:"expires"`
	Changes []Change          `json:"changes"`
	Brake   State             `json:"brake"`
	// Digest is that of Changes.
	Digest string `json:"digest"`
}

// Check returns nil if the plan can still be applied as it was shown, where now is the
// digest of what would be done now. An error is fault.Stale.
func (p Plan) Check(at time.Time, now string) error {
	switch {
	case !at.Before(p.Expires):
		return fault.Errorf(fault.Stale, "plan: "+p.ID, "it expired at %s: make a new one", p.Expires.UTC().Format(time.RFC3339))
	case p.Digest != now:
		return fault.Errorf(fault.Stale, "plan: "+p.ID, "what would be done now is not what was shown: make a new one")
	}
	return nil
}

// Counts returns how many changes there are of each operation.
func Counts(changes []Change) map[Op]int {
	counts := map[Op]int{}
	for _, c := range changes {
		counts[c.Op]++
	}
	return counts
}

// String is one line for people and failing tests.
func (c Change) String() string {
	s := fmt.Sprintf("%s %s", c.Op, c.Object)
	if c.Line != "" {
		s += " at " + c.Line
	}
	for _, f := range c.Fields {
		s += fmt.Sprintf(" %s %q->%q", f.Name, f.From, f.To)
	}
	if c.Reason != "" {
		s += " (" + c.Reason + ")"
	}
	if c.Held {
		s += " held"
	}
	return s
}

package plan

import (
	"fmt"
	"slices"

	"offhook.dev/libs/core/fault"
)

// Policy limits what a synchronisation may do. The zero Policy is Sync.
//
//	              create  adopt         update  return        disable  delete
//	sync          yes     yes           yes     yes           yes      yes
//	upsert-only   yes     yes           yes     yes           -        -
//	create-only   yes     without       -       enables only  -        -
//	                      its fields
//	off           -       -             -       -             -        -
type Policy string

// The policies.
const (
	Sync       Policy = "sync"
	UpsertOnly Policy = "upsert-only" // never disable or delete
	CreateOnly Policy = "create-only" // nor change what is there
	Off        Policy = "off"         // nothing at all
)

// ByPolicy is the reason of what a policy turned into a Skip.
const ByPolicy = "policy"

// ParsePolicy accepts the names of policies and "", which is Sync.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Sync, nil
	case Sync, UpsertOnly, CreateOnly, Off:
		return p, nil
	}
	return "", fault.New(fault.Invalid, "plan: policy", fmt.Errorf("%q is not sync, upsert-only, create-only or off", s))
}

// Allows says whether an operation may be done.
func (p Policy) Allows(op Op) bool {
	switch p {
	case UpsertOnly:
		return !op.Removes()
	case CreateOnly:
		return !op.Removes() && op != Update
	case Off:
		return !op.Acts()
	}
	return true
}

// AllowsField says whether an allowed operation may write that field of what is there.
func (p Policy) AllowsField(op Op, field string) bool {
	return p != CreateOnly || op == Create || op == Return && field == "enabled"
}

// Apply returns the changes as the policy allows them: a forbidden one becomes a Skip.
func (p Policy) Apply(changes []Change) []Change {
	limited := slices.Clone(changes)
	for i := range limited {
		c := &limited[i]
		if !p.Allows(c.Op) {
			c.Detail, c.Op, c.Reason, c.Fields = fmt.Sprintf("%s is not done under %s", c.Op, p), Skip, ByPolicy, nil
			continue
		}
		if c.Op.Acts() {
			c.Fields = slices.DeleteFunc(slices.Clone(c.Fields), func(f FieldChange) bool { return !p.AllowsField(c.Op, f.Name) })
		}
	}
	return limited
}

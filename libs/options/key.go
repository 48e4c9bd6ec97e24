package options

import (
	"slices"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
)

// Layer says whom a record is about.
type Layer string

// The layers, the weakest first.
const (
	Configuration Layer = "configuration" // the file: it has no record
	Tenant        Layer = "tenant"
	Group         Layer = "group"
	User          Layer = "user"
)

// Key is whom a record is about.
type Key struct {
	Layer  Layer
	Tenant identity.Tenant
	ID     string // of the group or user; "" for the tenant
}

// UserKey is the key of a person's record.
func UserKey(who identity.Person) Key { return Key{User, who.Tenant, string(who.User)} }

// GroupKey is the key of a group's record.
func GroupKey(tenant identity.Tenant, id identity.Group) Key { return Key{Group, tenant, string(id)} }

// String is the key in the bucket.
func (k Key) String() string {
	if k.Layer == Tenant {
		return topology.Join(string(k.Layer), string(k.Tenant))
	}
	return topology.Join(string(k.Layer), string(k.Tenant), k.ID)
}

// ParseKey is the inverse of Key.String.
func ParseKey(key string) (Key, error) {
	ids, err := topology.Split(key)
	if err == nil && !slices.Contains(ids, "") {
		switch {
		case len(ids) == 2 && Layer(ids[0]) == Tenant:
			return Key{Layer: Tenant, Tenant: identity.Tenant(ids[1])}, nil
		case len(ids) == 3 && (Layer(ids[0]) == Group || Layer(ids[0]) == User):
			return Key{Layer(ids[0]), identity.Tenant(ids[1]), ids[2]}, nil
		}
	}
	return Key{}, fault.Errorf(fault.Invalid, "options", "%q is no key of options", key)
}

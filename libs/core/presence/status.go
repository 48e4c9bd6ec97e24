package presence

import "fmt"

// Status is what a phone system shows for an extension: one of five, or Unset.
// Drivers translate them (docs/presence.md); 3CX calls them Available, Away, Out of
// office, Custom 1 and Custom 2.
type Status uint8

// The statuses, in the order in which people meet them. Unset means "no status
// known" and is never written.
const (
	Unset Status = iota
	Available
	Away
	DND
	Lunch
	BusinessTrip
)

var statusNames = [...]string{"", "available", "away", "dnd", "lunch", "business-trip"}

// Statuses lists the five.
func Statuses() []Status { return []Status{Available, Away, DND, Lunch, BusinessTrip} }

// String returns the word used in configuration, JSON, logs and metrics; "" for Unset.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// ParseStatus accepts the five words and "" for Unset.
func ParseStatus(word string) (Status, error) {
	for i, name := range statusNames {
		if name == word {
			return Status(i), nil
		}
	}
	return Unset, fmt.Errorf("status %q is none of available, away, dnd, lunch, business-trip", word)
}

// MarshalText makes a Status its word in JSON and YAML.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseStatus.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := ParseStatus(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// Set is a set of statuses.
type Set uint8

// SetOf returns the set of the given statuses.
func SetOf(statuses ...Status) Set {
	var set Set
	for _, s := range statuses {
		set |= 1 << s
	}
	return set
}

// All is the set of all five.
const All = Set(1<<Available | 1<<Away | 1<<DND | 1<<Lunch | 1<<BusinessTrip)

// Has says whether s is in the set. Unset never is.
func (set Set) Has(s Status) bool { return s != Unset && set&(1<<s) != 0 }

// Slice lists the members in the order of Statuses.
func (set Set) Slice() []Status {
	var members []Status
	for _, s := range Statuses() {
		if set.Has(s) {
			members = append(members, s)
		}
	}
	return members
}

// Powers is what a phone system can do with statuses: which it can be told to
// show (Write), which a read can return (Read), and in which the phone rings.
type Powers struct {
	Write Set `json:"write"`
	Read  Set `json:"read"`
	Ring  Set `json:"ring"`
}

// Project returns the nearest status that a system of these powers can show for
// want, and whether that differs from want. It goes towards ringing, never
// towards silence: a status that cannot be written becomes Available if that can
// be, else stays what it is and the write is refused by the driver. dnd on a
// system that cannot write dnd becomes Available as well.
func (p Powers) Project(want Status) (shown Status, projected bool) {
	if want == Unset || p.Write.Has(want) {
		return want, false
	}
	if p.Write.Has(Available) {
		return Available, true
	}
	return want, false
}

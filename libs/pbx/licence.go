package pbx

import "time"

// Licence is what a phone system says of its licence, where it says something: it is
// for people who check an installation. What a licence forbids is told with ErrLicence
// by every call that it forbids.
type Licence struct {
	Product string    // the vendor's name or code, "" if it is not told
	Lapsed  bool      // it is said not to be active; one of which nothing is said is taken for active
	Ends    time.Time // zero: never, or not told
}

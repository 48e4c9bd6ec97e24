package directory

// standing is whether a user should have an extension.
type standing uint8

const (
	stays  standing = iota // they have one, or get one
	leaves                 // they lose the one they have
	waits                  // whoever has one keeps it, and nobody gets one
)

// stand says whether a user should have an extension and why not, by this table; the
// first line that fits counts. old is their record, or nil.
//
//	                                          has one         has none
//	account deleted                           leaves          -
//	paired by the configuration               (next lines)    (next lines)
//	  disabled after having been enabled      leaves          leaves
//	  anything else                           stays           stays
//	resource mailbox                          stays           waits
//	guest, where guests are off               leaves          leaves
//	disabled, and seen enabled before         leaves          leaves
//	disabled, and never seen enabled          stays           waits
//	what is known may be incomplete           stays           waits
//	not chosen                                leaves          leaves
//	neither first nor last name               waits           waits
func (w *wants) stand(u *User, old *Record, configured bool) (standing, Reason) {
	owned := old != nil && old.How != Reserved
	wasEnabled := old != nil && old.WasEnabled
	keeps := func(r Reason) (standing, Reason) {
		if owned {
			return stays, ""
		}
		return waits, r
	}
	switch {
	case u.Gone:
		return leaves, Gone
	case configured:
		if !u.Enabled && wasEnabled && !u.Purpose.Resource() {
			return leaves, AccountDisabled
		}
		return stays, ""
	case u.Purpose.Resource():
		return keeps(Resource)
	case u.Guest && !w.Scope.Guests:
		return leaves, Guest
	case !u.Enabled && wasEnabled:
		return leaves, AccountDisabled
	case !u.Enabled:
		return keeps(AccountDisabled)
	case w.Unsure != "":
		if s, why := keeps(Unsure); s != stays {
			return s, why
		}
	case !w.Scope.chosen(u.User):
		return leaves, OutOfScope
	}
	if !u.named() {
		return waits, NoName
	}
	return stays, ""
}

package calendartest

// Event is something in a calendar, in the words of those who put it there.
type Event struct {
	From, To    Wall // as the clocks of its zone show; dates if AllDay
	ShowAs      string
	AllDay      bool
	Cancelled   bool
	Response    string
	Sensitivity string
	Attendees   int
	clocks      clocks // of the zone in which it was put there
}

// Rule refines what an event counts as; "" and nil are no condition.
type Rule struct {
	ShowAs, Response, Sensitivity string
	AllDay                        *bool
	AttendeesMin, AttendeesMax    *int
	As                            string
}

// Sent is an event as a calendar view of Graph would have it.
type Sent struct {
	Start, StartZone string
	End, EndZone     string
	ShowAs           string
	AllDay           bool
	Cancelled        bool
	Response         string
	Sensitivity      string
	Attendees        int
}

// Calendar is what a mailbox holds.
type Calendar struct {
	Scene  *Scene
	Events []Event
	Rules  []Rule
	// Sent is the same as it is read: in any order, some of it twice, some of it
	// nonsense that means nothing.
	Sent []Sent
}

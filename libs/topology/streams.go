package topology

import "time"

// Stream is the name of a JetStream stream.
type Stream string

// The streams.
const (
	Ingress   Stream = "INGRESS"
	Facts     Stream = "FACTS"
	Directory Stream = "DIRECTORY"
	Pages     Stream = "PAGES"
	Hints     Stream = "HINTS"
	Wants     Stream = "WANTS"
	Changes   Stream = "CHANGES"
	Timers    Stream = "TIMERS"
	Orders    Stream = "ORDERS"
	Decisions Stream = "DECISIONS"
	Outcomes  Stream = "OUTCOMES"
	ParkedMsg Stream = "PARKED"
)

// Keeping says which messages a stream keeps.
type Keeping uint8

const (
	// Newest keeps one message per subject: a state, not a history.
	Newest Keeping = iota
	// Queue keeps a message until its one consumer has dealt with it.
	Queue
	// History keeps everything for StreamInfo.MaxAge.
	History
)

// StreamInfo is how a stream is kept. Its subjects come from Flows.
type StreamInfo struct {
	Name    Stream
	Keeping Keeping
	// Synced streams are on disk before the ack. The others may lose the last
	// milliseconds at a kill; the minute passes rebuild them (docs/design.md, invariant 3).
	Synced bool
	MaxAge time.Duration // 0: for good; of a Queue, the end of what nobody ever took
	// MaxBytes and MaxPerSubject bound a Queue; what does not fit is refused, not dropped.
	MaxBytes      int64
	MaxPerSubject int64
	// Replace lets the newest message of a subject take the place of those of a Queue that
	// nobody has dealt with yet.
	Replace bool
	// Dedupe is the window in which a repeated Nats-Msg-Id is the same message.
	Dedupe time.Duration
	// Schedules allows messages that appear on another subject at a given time.
	Schedules bool
	Meaning   string
}

// Streams lists all streams.
func Streams() []StreamInfo {
	const week = 7 * 24 * time.Hour
	return []StreamInfo{
		{Name: Ingress, Keeping: Queue, Synced: true, MaxBytes: 1 << 30, MaxPerSubject: 10_000, Dedupe: 10 * time.Minute, Meaning: "notifications accepted from Graph"},
		{Name: Facts, Keeping: Newest, Meaning: "newest presence and status of everyone"},
		{Name: Directory, Keeping: Newest, Synced: true, Meaning: "users and groups of tenants, extensions of phone systems"},
		{Name: Pages, Keeping: Queue, Synced: true, MaxBytes: 2 << 30, MaxPerSubject: 1_000, Meaning: "contacts and photos on their way; nothing of them stays"},
		{Name: Hints, Keeping: Newest, Meaning: "look again"},
		{Name: Wants, Keeping: Newest, Meaning: "the status that each extension should show, and each person in Teams"},
		{Name: Changes, Keeping: Queue, Synced: true, MaxBytes: 2 << 30, MaxPerSubject: 1, Replace: true, Meaning: "changes of extensions and phonebooks that are on their way"},
		{Name: Orders, Keeping: Queue, Synced: true, MaxAge: 24 * time.Hour, MaxBytes: 16 << 20, MaxPerSubject: 1, Dedupe: 10 * time.Minute, Meaning: "what was asked once; each has an expiry of its own"},
		{Name: Timers, Keeping: Newest, Schedules: true, Meaning: "when to look at a user again"},
		{Name: Decisions, Keeping: History, MaxAge: week, Dedupe: 2 * time.Minute, Meaning: "why"},
		{Name: Outcomes, Keeping: History, MaxAge: week, Dedupe: 2 * time.Minute, Meaning: "what came of a want"},
		{Name: ParkedMsg, Keeping: History, Synced: true, MaxAge: 30 * 24 * time.Hour, Meaning: "set aside for a person, with the reason"},
	}
}

package bus

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Header names of ours. The ce-* attributes follow the NATS binding of CloudEvents
// in binary mode; trace context is W3C's.
const (
	hopsHeader   = "Offhook-Hops"
	ceIDHeader   = "ce-id"
	ceTypeHeader = "ce-type"
	ceSrcHeader  = "ce-source"
	ceTimeHeader = "ce-time"
	ceSpecHeader = "ce-specversion"
)

// MaxHops is how often one message may cause another before it is parked: the
// last guard against a loop that the topology should have made impossible.
const MaxHops = 4

// Message is one message, to publish or received.
type Message struct {
	Subject string
	Data    []byte
	Header  nats.Header // may be nil
	// ID makes a repetition on the subject within the stream's dedupe window the same
	// message. Only where the same id provably means the same thing there; "" otherwise.
	ID string

	// Of received messages only:

	Sequence  uint64    // in its stream
	Time      time.Time // when the broker stored it, in broker time
	Delivered uint64    // 1 for the first delivery
	Hops      int       // how many messages led to this one

	overtaken func() bool
}

// id is what the broker knows the message by: to it an id is that of the whole stream, and
// what two subjects call alike, such as a moment, would be one message.
func (m Message) id() string { return m.Subject + "/" + m.ID }

// Overtaken says whether a newer message of the subject has arrived since: the
// handler's work will be done again, on what is newer. Only of a consumer of
// NewestOnly; else it is false.
func (m Message) Overtaken() bool { return m.overtaken != nil && m.overtaken() }

func hops(h nats.Header) int {
	n, err := strconv.Atoi(h.Get(hopsHeader))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

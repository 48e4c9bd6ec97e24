package bus

import (
	"time"

	"offhook.dev/libs/core/fault"
)

// verb is what happens to a message after its handler returned.
type verb uint8

const (
	ack   verb = iota // dealt with
	retry             // again, after a delay
	park              // set aside for a person
	halt              // again, and nothing else of this consumer meanwhile
)

func (v verb) String() string { return [...]string{"ack", "retry", "park", "halt"}[v] }

// maxDeliveries is after how many attempts a message that keeps failing by itself
// is parked. With the delays below that is about an hour and a half.
const maxDeliveries = 40

// verdict is the one table from an error's kind and the delivery count to a verb.
// The delay counts for retry and halt.
//
//	kind                              verb
//	(none), stale                     ack: there is nothing left to do
//	invalid, unsupported, not-found   park: trying again cannot help
//	denied                            halt: a person must act, and every other message would fail as well
//	cancelled                         retry at once: this process is stopping
//	throttled, unavailable            retry with a growing delay or the one asked for, for as long as it takes
//	timeout, conflict, unknown        the same, and park after maxDeliveries
func verdict(err error, delivered uint64) (verb, time.Duration) {
	if err == nil {
		return ack, 0
	}
	kind := fault.KindOf(err)
	switch kind {
	case fault.Stale:
		return ack, 0
	case fault.Invalid, fault.Unsupported, fault.NotFound, fault.Gone:
		return park, 0
	case fault.Denied:
		return halt, 30 * time.Second
	case fault.Cancelled:
		return retry, 0
	}
	if delivered >= maxDeliveries && kind != fault.Throttled && kind != fault.Unavailable {
		return park, 0
	}
	if asked := fault.RetryAfter(err); asked > 0 {
		return retry, asked
	}
	return retry, backoff(delivered)
}

// backoff doubles from a quarter of a second to two and a half minutes.
func backoff(delivered uint64) time.Duration {
	const first, most = 250 * time.Millisecond, 150 * time.Second
	if delivered > 10 {
		return most
	}
	return min(first<<(max(delivered, 1)-1), most)
}

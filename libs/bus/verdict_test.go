package bus

import (
	"testing"

	"offhook.dev/libs/core/fault"
)

// What only fails by itself is set aside in the end; what waits for somebody else
// never is, however often it was tried.
func TestWhatIsUnavailableIsTriedForAsLongAsItTakes(t *testing.T) {
	for _, c := range []struct {
		kind        fault.Kind
		first, late verb // at the first attempt, and at the last before giving up
	}{
		{fault.Unavailable, retry, retry}, {fault.Throttled, retry, retry}, {fault.Cancelled, retry, retry},
		{fault.Timeout, retry, park}, {fault.Conflict, retry, park}, {fault.Unknown, retry, park},
		{fault.Invalid, park, park}, {fault.Denied, halt, halt}, {fault.Stale, ack, ack},
	} {
		err := fault.New(c.kind, "test", nil)
		first, _ := verdict(err, 1)
		late, _ := verdict(err, maxDeliveries)
		if first != c.first || late != c.late {
			t.Errorf("%v: %v, then %v; want %v, then %v", c.kind, first, late, c.first, c.late)
		}
	}
}

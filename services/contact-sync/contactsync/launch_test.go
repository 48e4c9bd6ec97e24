package contactsync

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// What the broker knows a message by has to tell series apart that are launched within the
// same microsecond: of two that it takes for one, the second was lost and waited for a minute.
func TestSeriesOfOneMomentAreTwoToTheBroker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.system(hq, nil)
	var mu sync.Mutex // guards ids
	ids := map[string]string{}
	sub, err := s.bus.Conn().Subscribe("pbx.want.contact.>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		ids[m.Subject] = m.Header.Get(nats.MsgIdHdr)
	})
	s.must(err)
	defer func() { _ = sub.Unsubscribe() }()
	s.must(s.bus.Conn().Flush())
	s.link(person(1), lineOf(hq, "204"))
	s.link(person(2), lineOf(hq, "205"))
	one, two := s.mailbox(person(1), false), s.mailbox(person(2), false)
	one.many("contacts", 0, 3, 1)
	two.many("contacts", 0, 3, 1)
	s.start()
	one.full()
	two.full()
	s.synced()
	mu.Lock()
	defer mu.Unlock()
	if len(ids) != 2 {
		t.Errorf("wants on %d subjects, want 2", len(ids))
	}
	for subject, id := range ids {
		if !strings.HasPrefix(id, subject+"-") {
			t.Errorf("the id %q of a want does not name its phonebook %s", id, subject)
		}
	}
}

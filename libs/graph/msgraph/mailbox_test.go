package msgraph

import (
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

const (
	box   = identity.User("00000000-0000-0000-0000-00000000000a")
	other = identity.User("00000000-0000-0000-0000-00000000000b")
)

func TestAMailboxAdmitsFourRequestsAtATime(t *testing.T) {
	m := newMailboxes()
	for range graph.MailboxConcurrency {
		if _, admitted := m.enter(box); !admitted {
			t.Fatal("one of the first four is refused")
		}
	}
	changed := m.changed()
	if wait, admitted := m.enter(box); admitted || wait != 0 {
		t.Errorf("the fifth: admitted %v, wait %v; want to wait for an end", admitted, wait)
	}
	if _, admitted := m.enter(other); !admitted {
		t.Error("another mailbox pays for it")
	}
	m.leave(box)
	select {
	case <-changed:
	default:
		t.Error("nobody is told that a place is free")
	}
	if _, admitted := m.enter(box); !admitted {
		t.Error("the place is not given again")
	}
}

func TestAMailboxStaysBelowOutlooksQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailboxes()
		admitted, end := 0, time.Now().Add(graph.MailboxWindow)
		for time.Now().Before(end) {
			wait, ok := m.enter(box)
			if ok {
				m.leave(box)
				admitted++
				continue
			}
			if wait <= 0 {
				t.Fatal("nothing is under way and there is no time to wait")
			}
			time.Sleep(wait)
		}
		if most := graph.MailboxRequests; admitted > most*4/5+mailboxBurst || admitted < most*3/4 {
			t.Errorf("%d requests in %v, of %d", admitted, graph.MailboxWindow, most)
		}
	})
}

func TestAPauseOfAMailboxEndsAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailboxes()
		m.closeFor(box, time.Minute)
		m.closeFor(box, time.Second)
		if wait, admitted := m.enter(box); admitted || wait != time.Minute {
			t.Errorf("wait %v, want the longer of two pauses", wait)
		}
		if _, admitted := m.enter(other); !admitted {
			t.Error("another mailbox pays for it")
		}
		time.Sleep(time.Minute)
		if _, admitted := m.enter(box); !admitted {
			t.Error("the pause does not end")
		}
		time.Sleep(time.Second)
		m.leave(box)
		m.leave(other)
		if len(m.known) != 0 {
			t.Errorf("%d mailboxes are remembered for nothing", len(m.known))
		}
	})
}

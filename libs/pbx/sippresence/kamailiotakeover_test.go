package sippresence

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// nextSecond waits until what is published now is younger for Kamailio than what was: see
// coarseClock.
func nextSecond(t *testing.T) {
	t.Helper()
	next := time.Now().Truncate(time.Second).Add(time.Second + coarseClock)
	eventually(t, "the next second", func() bool { return time.Now().After(next) })
}

// Two machines that work a system in turns keep tags in files of their own.
func TestATakeoverOnAKamailio(t *testing.T) {
	t.Parallel()
	k, ok := startKamailio(t, kamailiotest.Files)
	if !ok {
		return
	}
	nothing := open(t, k.config(UDP))
	t.Run("publishes anew, and what the other has left expires", func(t *testing.T) {
		first, second := k.config(UDP), k.config(UDP)
		first.Publications, first.Expires = newShelf(), 2*time.Second
		second.Publications, second.RemoveOnClose = newShelf(), true
		one := open(t, first)
		set(t, one, "220", presence.DND)
		left := held(one, "220")
		one.Close()
		nextSecond(t)
		two := open(t, second)
		set(t, two, "220", presence.Lunch)
		if held(two, "220").ETag == left.ETag {
			t.Error("the second one has the first one's tag")
		}
		reads(t, two, "220", presence.Lunch)
		eventually(t, "it has expired", func() bool { return time.Now().After(left.Expires.Add(2 * time.Second)) })
		reads(t, two, "220", presence.Lunch)
		two.Close()
		forgets(t, nothing, "220")
	})
	t.Run("back does not prolong what is older than what is shown", func(t *testing.T) {
		first, kept := k.config(UDP), newShelf()
		first.Publications = kept
		one := open(t, first)
		set(t, one, "221", presence.DND)
		left := held(one, "221")
		one.Close()
		nextSecond(t)
		two := open(t, k.config(UDP))
		set(t, two, "221", presence.Lunch)
		two.Close()
		back := open(t, first)
		own := back.(*driver).table
		if held(back, "221").ETag != left.ETag {
			t.Fatal("the tag was not kept")
		}
		own.mu.Lock()
		own.schedule(own.rows[subject{"221", Presence}], time.Now())
		own.mu.Unlock()
		eventually(t, "it is given up", func() bool { return held(back, "221").ETag == "" })
		reads(t, back, "221", presence.Lunch)
		if all, _ := kept.All(t.Context()); len(all) != 0 {
			t.Errorf("kept: %+v", all)
		}
		nextSecond(t)
		set(t, back, "221", presence.Away)
		reads(t, back, "221", presence.Away)
	})
}

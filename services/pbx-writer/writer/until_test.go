package writer

import (
	"context"
	"testing"
	"time"

	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/sippresence"
	"offhook.dev/libs/store"
)

// sender is a driver that sends things by itself.
type sender struct {
	*tap
	bound func(until func() time.Time)
}

func (s sender) Until(until func() time.Time) { s.bound(until) }

// A driver that refreshes what it has published, and takes it back when it is closed, would
// hide what the next owner shows.
func TestWhatADriverSendsByItselfEndsWithTheLease(t *testing.T) {
	s := newStage(t, 1)
	bound := make(chan func() time.Time, 1)
	open := s.opts.Systems[0].Open
	s.opts.Systems[0].Open = func(ctx context.Context) (pbx.Driver, error) {
		driver, err := open(ctx)
		return sender{driver.(*tap), func(until func() time.Time) { bound <- until }}, err
	}
	ends := make(chan time.Time, 1)
	now := time.Now()
	ends <- now.Add(time.Hour)
	s.own("owner", store.NewLease(1, func() time.Time { end := <-ends; ends <- end; return end }))
	var until func() time.Time
	select {
	case until = <-bound:
	case <-time.After(10 * time.Second):
		t.Fatal("it is told nothing")
	}
	if told := until(); !told.Equal(now.Add(time.Hour - margin)) {
		t.Errorf("it is told %v, the lease ends at %v", told, now.Add(time.Hour))
	}
	<-ends
	ends <- now.Add(2 * time.Hour) // renewed
	if told := until(); !told.Equal(now.Add(2*time.Hour - margin)) {
		t.Errorf("it is told %v, the lease ends at %v", told, now.Add(2*time.Hour))
	}
}

func TestSIPPresenceIsADriverThatSendsByItself(t *testing.T) {
	d, err := sippresence.Open(t.Context(), sippresence.Config{Server: "127.0.0.1", Domain: "pbx.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, ok := d.(interface{ Until(func() time.Time) }); !ok {
		t.Errorf("%T cannot be told", d)
	}
}

package listing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stream answers what is newer by what is left to say: newer, nothing, or no answer.
type stream struct {
	jetstream.Stream
	says  []error
	asked []uint64
}

func (s *stream) GetMsg(_ context.Context, sequence uint64, _ ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	s.asked = append(s.asked, sequence)
	says := s.says[0]
	s.says = s.says[1:]
	return nil, says
}

var (
	newer      error
	nothing    = jetstream.ErrMsgNotFound
	errSilence = errors.New("no answer")
)

func TestWhereAListingEnds(t *testing.T) {
	type step func(context.Context, *End) error
	saw := func(sequence, pending uint64) step {
		return func(ctx context.Context, e *End) error { return e.Saw(ctx, sequence, pending) }
	}
	look := func(ctx context.Context, e *End) error { return e.Look(ctx) }
	pass := func(context.Context, *End) error { time.Sleep(Patience + 1); return nil } // virtual
	skip := func(_ context.Context, e *End) error { e.Skip(); return nil }
	for _, c := range []struct {
		name  string
		says  []error
		steps []step
		asked int
		ends  bool
	}{
		{"where nothing is there", []error{nothing}, []step{look}, 1, true},
		{"with the last message", []error{nothing}, []step{saw(1, 1), saw(2, 0)}, 1, true},
		{"not where more is pending, without a question", nil, []step{saw(1, 3)}, 0, false},
		{"not where something is newer", []error{newer}, []step{saw(1, 0)}, 1, false},
		{"but with that", []error{newer, nothing}, []step{saw(1, 0), saw(5, 0)}, 2, true},
		{"or when that has vanished", []error{newer, nothing}, []step{saw(1, 0), look}, 2, true},
		{"not where the broker does not answer", []error{errSilence}, []step{saw(1, 0)}, 1, false},
		{"but when it does", []error{errSilence, nothing}, []step{saw(1, 0), look}, 2, true},
		{"where messages come all the time, after a while", []error{newer}, []step{saw(1, 0), pass, saw(2, 0)}, 1, true},
		{"at once for who reads nothing of what is there", nil, []step{skip, look, saw(1, 0)}, 0, true},
		{"once", []error{nothing}, []step{saw(1, 0), saw(2, 0), look}, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, told := &stream{says: c.says}, 0
				e := NewEnd(s, []string{"a"}, func() error { told++; return nil })
				for _, step := range c.steps {
					if err := step(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
				skipped := len(c.says) == 0 && c.ends // it is at the end without being told so
				if e.Reached() != c.ends || (told == 1) != (c.ends && !skipped) || told > 1 || len(s.asked) != c.asked {
					t.Errorf("ended: %t, told %d times, asked after %v", e.Reached(), told, s.asked)
				}
			})
		})
	}
}

func TestWhoIsToldOfTheEndMayFail(t *testing.T) {
	failed := errors.New("failed")
	e := NewEnd(&stream{says: []error{nothing}}, []string{"a"}, func() error { return failed })
	if err := e.Look(t.Context()); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

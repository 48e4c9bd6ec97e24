package reading

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// nonsense is a line after which nothing on a connection counts.
const nonsense = "nonsense"

var errNonsense = errors.New(nonsense)

// line is a connection on which lines are answers, and everything else is an event. All
// of a test happens in virtual time, so an answer that took no time was read by who
// waited for it: the standing reader comes back after Idle at the earliest.
type line struct {
	t     *testing.T
	conn  net.Conn
	peer  net.Conn
	duty  *Duty
	done  chan struct{}
	ended error // of Stand

	mu     sync.Mutex
	text   string // of the line that is being read
	asked  map[string]chan struct{}
	events []string
	came   []time.Time // of events
}

// on plays on a line in which a standing reader has stepped aside already.
func on(t *testing.T, play func(*testing.T, *line)) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		l := &line{t: t, conn: conn, peer: peer, done: make(chan struct{}), asked: make(map[string]chan struct{})}
		l.duty = New(conn, l.next, l.busy)
		var standing sync.WaitGroup
		standing.Go(func() { l.ended = l.duty.Stand(l.done) })
		l.say("hello\n")
		synctest.Wait()
		play(t, l)
		close(l.done)
		_ = conn.Close()
		standing.Wait()
	})
}

func (l *line) next() error {
	var b [1]byte
	for {
		if _, err := l.conn.Read(b[:]); err != nil {
			return err
		}
		l.mu.Lock()
		l.text += string(b[:])
		if b[0] == '\n' {
			text := strings.TrimSuffix(l.text, "\n")
			l.text = ""
			if text != nonsense {
				l.take(text)
			}
			l.mu.Unlock()
			if text == nonsense {
				return errNonsense
			}
			return nil
		}
		l.mu.Unlock()
	}
}

// take hands out a line. mu is held.
func (l *line) take(text string) {
	if answered := l.asked[text]; answered != nil {
		delete(l.asked, text)
		close(answered)
		return
	}
	l.events, l.came = append(l.events, text), append(l.came, time.Now())
}

func (l *line) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked) > 0
}

func (l *line) say(text string) {
	if _, err := io.WriteString(l.peer, text); err != nil {
		l.t.Error(err)
	}
}

// ask notes that somebody waits for an answer.
func (l *line) ask(answer string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	answered := make(chan struct{})
	l.asked[answer] = answered
	return answered
}

// wait waits for an answer and says how long that took.
func (l *line) wait(ctx context.Context, answered <-chan struct{}) (time.Duration, error) {
	began := time.Now()
	if err := l.duty.Lead(ctx, answered); err != nil {
		return time.Since(began), err
	}
	select {
	case <-answered:
		return time.Since(began), nil
	case <-ctx.Done():
		return time.Since(began), ctx.Err()
	}
}

// prompt fails unless an answer came at once.
func (l *line) prompt(answered <-chan struct{}) {
	if took, err := l.wait(l.t.Context(), answered); err != nil || took != 0 {
		l.t.Errorf("an answer took %v, %v", took, err)
	}
}

func TestWhoWaitsAloneReadsTheAnswer(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		for i := range 5 {
			answer := fmt.Sprint(i)
			answered := l.ask(answer)
			go l.say("an event\n" + answer + "\n")
			l.prompt(answered)
		}
		if len(l.events) != 6 {
			t.Errorf("heard %q", l.events)
		}
	})
}

func TestTheStandingReaderStaysAsideWhileThereAreQuestions(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		for range 20 {
			answered := l.ask("answer")
			go l.say("answer\n")
			l.prompt(answered)
			time.Sleep(Idle / 2)
			l.duty.mu.Lock()
			if l.duty.taken {
				t.Error("it has come back")
			}
			l.duty.mu.Unlock()
		}
	})
}

func TestAnAnswerThatCameBeforeIsNotWaitedFor(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		answered := make(chan struct{})
		close(answered)
		l.prompt(answered)
	})
}

func TestOthersWhoWaitAreAnsweredInAnyOrder(t *testing.T) {
	for _, order := range []string{"1\n2\n3\n", "3\n2\n1\n", "2\n1\n3\n"} {
		on(t, func(t *testing.T, l *line) {
			var callers sync.WaitGroup
			for _, answer := range []string{"1", "2", "3"} {
				answered := l.ask(answer)
				callers.Go(func() { l.prompt(answered) })
			}
			synctest.Wait() // one of them reads
			l.say(order)
			callers.Wait()
		})
	}
}

func TestWhatComesWhileNobodyAsksIsReadSoon(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		said := time.Now()
		l.say("an event\n")
		synctest.Wait()
		if n := len(l.events); n != 2 || l.came[1].Sub(said) > 2*Idle {
			t.Errorf("heard %q at %v", l.events, l.came)
		}
	})
}

// The next caller must not wait for who has left, nor lose what has come for it.
func TestWhoLeavesInTheMiddleOfAMessageLeavesItWhole(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late, next := l.ask("late"), l.ask("next")
		go l.say("la")
		if took, err := l.wait(ctx, late); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("who leaves: %v after %v", err, took)
		}
		go l.say("te\nnext\n")
		l.prompt(next)
		select {
		case <-late:
		default:
			t.Error("the message was lost")
		}
		if len(l.events) != 1 {
			t.Errorf("heard %q", l.events)
		}
	})
}

func TestAfterOneWhoLeftTheNextReadsWithoutADeadline(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		first := l.ask("first")
		if _, err := l.wait(gone, first); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left: %v", err)
		}
		l.say("first\n")
		synctest.Wait()
		second := l.ask("second")
		go l.say("second\n")
		l.prompt(second)
	})
}

// Who asked has to notice its own end, and the standing reader has more patience.
func TestWhatTakesLongIsReadByTheStandingReader(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		answered, began := l.ask("answer"), time.Now()
		if err := l.duty.Lead(t.Context(), answered); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < Idle || took > 2*Idle {
			t.Errorf("it read for %v", took)
		}
		time.Sleep(time.Hour)
		said := time.Now()
		l.say("an event\nanswer\n")
		l.prompt(answered)
		if len(l.events) != 2 || l.came[1] != said {
			t.Errorf("heard %q at %v, said at %v", l.events, l.came, said)
		}
	})
}

func TestTheEndOfAConnectionEndsReading(t *testing.T) {
	t.Run("of who reads for itself", func(t *testing.T) {
		on(t, func(t *testing.T, l *line) {
			answered := l.ask("never")
			go l.peer.Close()
			if _, err := l.wait(t.Context(), answered); !errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("of the standing reader, soon", func(t *testing.T) {
		on(t, func(t *testing.T, l *line) {
			_ = l.peer.Close()
			time.Sleep(2 * Idle)
			synctest.Wait()
			if !errors.Is(l.ended, io.EOF) {
				t.Errorf("got %v", l.ended)
			}
		})
	})
}

func TestAfterNonsenseNothingIsRead(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		answered := l.ask("answer")
		go func() { _, _ = io.WriteString(l.peer, nonsense+"\nanswer\n") }()
		if _, err := l.wait(t.Context(), answered); !errors.Is(err, errNonsense) {
			t.Errorf("got %v", err)
		}
		time.Sleep(3 * Idle)
		select {
		case <-answered:
			t.Error("it was answered by what followed")
		default:
		}
	})
}

func TestAReaderThatIsBusyStays(t *testing.T) {
	on(t, func(t *testing.T, l *line) {
		l.ask("never") // somebody left whose answer has not come
		other := l.ask("other")
		go l.say("other\n")
		l.prompt(other)
		said := time.Now()
		l.say("an event\n")
		synctest.Wait()
		if n := len(l.events); n != 2 || l.came[1] != said {
			t.Errorf("heard %q at %v, said at %v", l.events, l.came, said)
		}
	})
}

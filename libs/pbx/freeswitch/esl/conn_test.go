package esl_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/secret"
)

func start(t *testing.T, config freeswitchsim.Config) *freeswitchsim.Sim {
	t.Helper()
	config.Extensions = 20
	sim, err := freeswitchsim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func configFor(sim *freeswitchsim.Sim) esl.Config {
	user, password, _ := sim.Credentials()
	return esl.Config{Address: strings.TrimPrefix(sim.URL(), "tcp://"), User: user, Password: password, Events: []string{"HEARTBEAT", "PRESENCE_IN"}}
}

func dial(t *testing.T, config esl.Config) *esl.Conn {
	t.Helper()
	c, err := esl.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// lost says whether err is that of a call without an answer, because of why.
func lost(err, why error, sent bool) bool {
	var l *esl.LostError
	return errors.As(err, &l) && errors.Is(err, why) && l.Sent == sent
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	sim, strict := start(t, freeswitchsim.Config{}), start(t, freeswitchsim.Config{Forbidden: true})
	for name, c := range map[string]struct {
		sim    *freeswitchsim.Sim
		change func(*esl.Config)
		want   error
	}{
		"another password":              {sim, func(c *esl.Config) { c.Password = secret.NewValue("hunter2") }, esl.ErrPassword},
		"a user where there is none":    {sim, func(c *esl.Config) { c.User = "a@b" }, esl.ErrPassword},
		"an address that is not listed": {strict, func(*esl.Config) {}, esl.ErrRejected},
		"a password of two lines":       {sim, func(c *esl.Config) { c.Password = secret.NewValue("hunter2\n\napi shutdown") }, esl.ErrUnspeakable},
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(c.sim)
			c.change(&config)
			_, err := esl.Dial(t.Context(), config)
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// script is a listener that says what it is told to, line after line that it reads.
func script(t *testing.T, say ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buffer := make([]byte, 4096)
		for i, text := range say {
			if i > 0 {
				if _, err := conn.Read(buffer); err != nil {
					return
				}
			}
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
		}
		for err == nil {
			_, err = conn.Read(buffer)
		}
	})
	return listener.Addr().String()
}

func TestABeginningThatIsNone(t *testing.T) {
	const greeting, accepted = "Content-Type: auth/request\n\n", "Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
	for name, c := range map[string]struct {
		say  []string
		want error
	}{
		"another protocol":            {[]string{"220 mail.example.com ESMTP\r\n"}, esl.ErrSenseless},
		"an answer first":             {[]string{"Content-Type: command/reply\nReply-Text: +OK\n\n"}, esl.ErrSenseless},
		"good-bye first":              {[]string{"Content-Type: text/disconnect-notice\n\n"}, esl.ErrLeft},
		"silence":                     {[]string{""}, esl.ErrOverdue},
		"silence about the password":  {[]string{greeting, ""}, esl.ErrOverdue},
		"neither accepted nor not":    {[]string{greeting, "Content-Type: command/reply\nReply-Text: maybe\n\n"}, esl.ErrSenseless},
		"another kind of answer":      {[]string{greeting, "Content-Type: api/response\nContent-Length: 3\n\n+OK"}, esl.ErrSenseless},
		"events that are not allowed": {[]string{greeting, accepted, "Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n"}, esl.ErrForbidden},
		"good-bye in between":         {[]string{greeting, accepted, "Content-Type: text/disconnect-notice\n\n"}, esl.ErrLeft},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if errors.Is(c.want, esl.ErrOverdue) {
				timeout = 2 * time.Second // to be connected takes its time, too
			}
			_, err := esl.Dial(t.Context(), esl.Config{Address: script(t, c.say...), Password: secret.NewValue("x"), Timeout: timeout})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnswersFindTheirQuestions(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	config := configFor(sim)
	heard := make(chan struct{}, 200*13) // three commands, four events each, and the one that was sent
	config.Hear = func(esl.Event) { heard <- struct{}{} }
	c := dial(t, config)
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Interleaved}) // events are everywhere
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			key, value := fmt.Sprintf("offhook/%d", i), fmt.Sprintf("value-%d", i)
			replies, err := c.Do(t.Context(), esl.API("hash insert/"+key+"/"+value), esl.SendEvent("PRESENCE_IN", esl.Header{Name: "from", Value: key}), esl.API("hash select/"+key))
			if err != nil || !replies[0].Accepted() || !replies[1].Accepted() || string(replies[2]) != value {
				t.Errorf("%d: %q, %v", i, replies, err)
			}
		})
	}
	callers.Wait()
	for range 200 * 13 {
		<-heard
	}
}

func TestAJobIsDoneInTheBackground(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	reply, err := c.Job(t.Context(), "list_users domain pbx.example.com")
	if err != nil || !strings.HasPrefix(string(reply), "userid|") {
		t.Errorf("%q, %v", reply, err)
	}
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Deny})
	if reply, err = c.Job(t.Context(), "status"); err != nil || reply != "-ERR permission denied" {
		t.Errorf("%q, %v", reply, err)
	}
	sim.ClearFaults()
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Forget}) // accepted, and never done
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = c.Job(ctx, "status"); !lost(err, context.DeadlineExceeded, true) {
		t.Errorf("got %v", err)
	}
}

// Whatever makes it uncertain which answer belongs to which question ends the connection,
// promptly, and everybody who waits is told.
func TestWhatEndsAConnection(t *testing.T) {
	for kind, want := range map[freeswitchsim.FaultKind]error{
		freeswitchsim.Garbage: esl.ErrSenseless, freeswitchsim.Huge: esl.ErrSenseless, freeswitchsim.Truncated: esl.ErrLeft,
		freeswitchsim.Drop: esl.ErrLeft, freeswitchsim.Notice: esl.ErrLeft, freeswitchsim.Hang: esl.ErrOverdue, freeswitchsim.LostAnswer: esl.ErrLeft,
	} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			config := configFor(sim)
			if kind == freeswitchsim.Hang {
				config.Timeout = 2 * time.Second
			}
			c := dial(t, config)
			sim.Inject(freeswitchsim.Fault{Kind: kind})
			var callers sync.WaitGroup
			for range 5 {
				callers.Go(func() {
					if _, err := c.Do(t.Context(), esl.API("status")); !errors.Is(err, want) {
						t.Errorf("got %v", err)
					}
				})
			}
			callers.Wait()
			<-c.Done()
			if _, err := c.Do(t.Context(), esl.API("status")); !lost(err, want, false) || !errors.Is(c.Err(), want) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestAnAnswerThatNobodyAskedForEndsIt(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Unasked})
	if replies, err := c.Do(t.Context(), esl.API("version")); err != nil || !strings.HasPrefix(string(replies[0]), "FreeSWITCH") {
		t.Errorf("the first is answered: %q, %v", replies, err)
	}
	<-c.Done()
	if !errors.Is(c.Err(), esl.ErrSenseless) {
		t.Errorf("got %v", c.Err())
	}
}

// What an API prints cannot be the reply to an event.
func TestAnAnswerOfAnotherKindEndsIt(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Usage})
	if _, err := c.Do(t.Context(), esl.SendEvent("PRESENCE_IN")); !lost(err, esl.ErrSenseless, true) {
		t.Errorf("got %v", err)
	}
}

func TestNoMoreCallsAreUnderWayThanAllowed(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	config := configFor(sim)
	config.InFlight = 3
	c := dial(t, config)
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	var sent, unsent int
	results := make(chan error)
	for range 10 {
		go func() {
			_, err := c.Do(ctx, esl.API("status"))
			results <- err
		}()
	}
	for sim.Stats().Commands == 0 {
		<-time.After(time.Millisecond)
	}
	cancel()
	for range 10 {
		switch err := <-results; {
		case lost(err, context.Canceled, true):
			sent++
		case lost(err, context.Canceled, false):
			unsent++
		default:
			t.Errorf("got %v", err)
		}
	}
	if sent > 3 || sent == 0 || sent+unsent != 10 {
		t.Errorf("%d were sent, %d were not", sent, unsent)
	}
}

// A caller that leaves takes nothing from others: its answer comes, and is dropped.
func TestWhoLeavesDisturbsNobody(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Slow, Delay: 20 * time.Second, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, esl.API("hash insert/offhook/a/left")); !lost(err, context.DeadlineExceeded, true) {
		t.Errorf("got %v", err)
	}
	sim.ClearFaults() // it is answered now
	for i := range 50 {
		if replies, err := c.Do(t.Context(), esl.API("hash select/offhook/a")); err != nil || replies[0] != "left" {
			t.Fatalf("%d: %q, %v", i, replies, err)
		}
	}
}

func TestEventsAreHeardInTheirOrder(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	config := configFor(sim)
	const many = 2000
	heard := make(chan esl.Event, many)
	config.Hear = func(e esl.Event) { heard <- e }
	c := dial(t, config)
	numbers := sim.Numbers()
	for i := range many {
		sim.Store("offhook", numbers[i%len(numbers)], "dnd")
	}
	for i := range many {
		if e := <-heard; e.From != string(numbers[i%len(numbers)])+"@pbx.example.com" {
			t.Fatalf("the event %d is %+v", i, e)
		}
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestEventsThatNobodyHearsAreDropped(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	for range 2000 {
		sim.Store("offhook", "1000", "dnd")
	}
	if replies, err := c.Do(t.Context(), esl.API("hash select/offhook/1000@pbx.example.com")); err != nil || replies[0] != "dnd" {
		t.Errorf("%q, %v", replies, err)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	sim := start(t, freeswitchsim.Config{})
	c := dial(t, configFor(sim))
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Do(t.Context(), esl.API("status")); !lost(err, esl.ErrClosed, false) {
		t.Errorf("got %v", err)
	}
	sim.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

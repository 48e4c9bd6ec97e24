package sippresence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/libs/secret"
)

// pair is a server with a driver, over udp unless said otherwise.
func pair(t *testing.T, adjust func(*behaviour, *Config)) (*server, pbx.Driver) {
	t.Helper()
	s := newServer(t, "201", "202")
	config := s.config(UDP)
	if adjust != nil {
		s.behave(func(b *behaviour) { adjust(b, &config) })
	}
	return s, open(t, config)
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("got %v (%v), want an error that is %v", err, fault.KindOf(err), want)
	}
}

func wantMessages(t *testing.T, s *server, want ...message) {
	t.Helper()
	if got := s.messages(); !slices.Equal(got, want) {
		t.Errorf("the server received\n%+v instead of\n%+v", got, want)
	}
}

// held is what the driver knows about a publication.
func held(d pbx.Driver, ext identity.Extension) Publication {
	own := d.(*driver)
	return own.table.held(own.table.row(ext, Presence))
}

func TestTheFirstPublicationHasNoTagAndTheNextOnesModifyIt(t *testing.T) {
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	first := held(d, "201").ETag
	set(t, d, "201", presence.Available)
	wantMessages(t, s,
		message{method: "PUBLISH", user: "201", body: true, expires: 3600},
		message{method: "PUBLISH", user: "201", body: true, expires: 3600, etag: first})
	if second := held(d, "201").ETag; second == first || second == "" {
		t.Errorf("the tag is still %q", second)
	}
}

func TestAForgottenTagIsFollowedByAnInitialPublication(t *testing.T) {
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	first := held(d, "201").ETag
	s.forget()
	set(t, d, "201", presence.Away)
	if got := s.messages()[1:]; len(got) != 2 || got[0].etag != first || got[1].etag != "" || !got[1].body {
		t.Errorf("the server received %+v", got)
	}
	reads(t, d, "201", presence.Away)
}

func TestTooShortAnIntervalIsProlongedAndRemembered(t *testing.T) {
	s, d := pair(t, func(b *behaviour, c *Config) { c.Expires, b.shortest = 60*time.Second, 90*time.Second })
	set(t, d, "201", presence.DND)
	set(t, d, "202", presence.DND)
	wantMessages(t, s,
		message{method: "PUBLISH", user: "201", body: true, expires: 60},
		message{method: "PUBLISH", user: "201", body: true, expires: 90},
		message{method: "PUBLISH", user: "202", body: true, expires: 90})
}

func TestTheGrantedLifetimeCounts(t *testing.T) {
	_, d := pair(t, func(b *behaviour, _ *Config) { b.longest = 30 * time.Second })
	set(t, d, "201", presence.DND)
	if left := time.Until(held(d, "201").Expires); left > 30*time.Second || left < 20*time.Second {
		t.Errorf("the publication lives for %v, the server granted 30 s", left)
	}
}

func TestAServerWithoutTagsIsPublishedToAnew(t *testing.T) {
	s, d := pair(t, func(b *behaviour, _ *Config) { b.noTags = true })
	set(t, d, "201", presence.DND)
	set(t, d, "201", presence.Away)
	for _, m := range s.messages() {
		if m.etag != "" || !m.body {
			t.Errorf("the server received %+v", m)
		}
	}
	reads(t, d, "201", presence.Away)
}

func TestResponsesAreClassified(t *testing.T) {
	cases := []struct {
		name   string
		status int
		header []string
		kind   fault.Kind
		says   string // in the error
	}{
		{"a moved server", 302, []string{"Contact", "<sip:elsewhere.example.net>"}, fault.Invalid, "redirects are not followed"},
		{"a bad request", 400, nil, fault.Invalid, "400"},
		{"a missing right", 403, nil, fault.Denied, "may not"},
		{"an unknown extension", 404, nil, fault.NotFound, "404"},
		{"no presence server", 489, nil, fault.Invalid, "no presence server"},
		{"an interval without a minimum", 423, nil, fault.Invalid, "Min-Expires"},
		{"an interval that is absurd", 423, []string{"Min-Expires", "4000000000"}, fault.Invalid, "Min-Expires"},
		{"a tag that was not sent", 412, nil, fault.Invalid, "412"},
		{"a proxy that waited in vain", 504, nil, fault.Timeout, "504"},
		{"a failing server", 500, nil, fault.Unavailable, "500"},
		{"a failing server that says for how long", 500, []string{"Retry-After", "18 (repair)"}, fault.Throttled, "500"},
		{"an overloaded server", 503, []string{"Retry-After", "18;duration=60"}, fault.Throttled, "503"},
		{"an overloaded server that does not say for how long", 503, nil, fault.Unavailable, "503"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, nil)
			s.answer(code(c.status, c.header...))
			err := d.SetStatus(t.Context(), "201", presence.DND)
			wantKind(t, err, c.kind)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if n := len(s.messages()); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
			if c.kind == fault.Throttled && fault.RetryAfter(err) != 18*time.Second {
				t.Errorf("come back after %v", fault.RetryAfter(err))
			}
		})
	}
}

// The kinds are the promises of pbx.Driver: Unsupported would mean "never sent".
func TestEveryStatusCodeHasAKindThatADriverMayReturn(t *testing.T) {
	allowed := []fault.Kind{fault.Unavailable, fault.Timeout, fault.NotFound, fault.Denied, fault.Invalid}
	for status := 300; status < 700; status++ {
		if kind := kindOf(status); !slices.Contains(allowed, kind) {
			t.Errorf("%d is %v", status, kind)
		}
	}
}

func TestDigest(t *testing.T) {
	cases := []struct {
		name   string
		adjust func(*behaviour, *Config)
		kind   fault.Kind // Unknown: success
	}{
		{"a server's challenge is answered", nil, fault.Unknown},
		{"a proxy's challenge is answered", func(b *behaviour, _ *Config) { b.proxy = true }, fault.Unknown},
		{"a stale nonce is replaced", func(b *behaviour, _ *Config) { b.staleNonces = 1 }, fault.Unknown},
		{"a nonce that is stale for ever is given up", func(b *behaviour, _ *Config) { b.staleNonces = 1000 }, fault.Denied},
		{"an open server needs no account", func(b *behaviour, c *Config) { b.open, c.Username, c.Password = true, "", secret.Value{} }, fault.Unknown},
		{"a wrong password is denied", func(_ *behaviour, c *Config) { c.Password = secret.NewValue("hunter2") }, fault.Denied},
		{"a missing account is denied", func(_ *behaviour, c *Config) { c.Username, c.Password = "", secret.Value{} }, fault.Denied},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, c.adjust)
			err := d.SetStatus(t.Context(), "201", presence.DND)
			if c.kind == fault.Unknown {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, c.kind)
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("%q tells the password", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.received) > 0 || s.refused > 3 {
				t.Errorf("%d requests were accepted, %d challenged", len(s.received), s.refused)
			}
		})
	}
	t.Run("a challenge of another kind is denied", func(t *testing.T) {
		s, d := pair(t, func(b *behaviour, _ *Config) { b.open = true })
		s.answer(code(401, "WWW-Authenticate", `Basic realm="x"`))
		wantKind(t, d.SetStatus(t.Context(), "201", presence.DND), fault.Denied)
	})
}

// Of the challenges that a server offers (RFC 8760) the strongest is answered, wherever it
// stands, and with the whole request where that is to be protected.
func TestTheStrongestChallengeIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		offers     []string
		protection string
		want       string // the algorithm of the answer; "": there is none
	}{
		"MD5 alone":                            {[]string{"MD5"}, "auth", "MD5"},
		"SHA-256 alone":                        {[]string{"SHA-256"}, "auth", "SHA-256"},
		"the stronger one first":               {[]string{"SHA-256", "MD5"}, "auth", "SHA-256"},
		"the stronger one last":                {[]string{"MD5", "SHA-256"}, "auth", "SHA-256"},
		"three":                                {[]string{"MD5", "SHA-512-256", "SHA-256"}, "auth", "SHA-512-256"},
		"one that nobody knows and another":    {[]string{"SHA3-512", "SHA-256"}, "auth", "SHA-256"},
		"one of a session, which is not known": {[]string{"MD5-sess", "MD5"}, "auth", "MD5"},
		"only those that nobody knows":         {[]string{"SHA3-512", "MD5-sess"}, "auth", ""},
		"the body is to be protected":          {[]string{"SHA-256"}, "auth-int", "SHA-256"},
		"it may be":                            {[]string{"SHA-256"}, "auth-int, auth", "SHA-256"},
		"one that is known behind a space":     {[]string{"SHA-256"}, "auth-conf, auth", "SHA-256"},
		"a protection that nobody knows":       {[]string{"SHA-256"}, "auth-conf", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, proxy := range []bool{false, true} {
				s, d := pair(t, func(b *behaviour, _ *Config) { b.algorithms, b.protection, b.proxy = c.offers, c.protection, proxy })
				err := d.SetStatus(t.Context(), "201", presence.DND)
				s.mu.Lock()
				answered := s.answered
				s.mu.Unlock()
				if answered != c.want || (err == nil) != (c.want != "") || err != nil && fault.KindOf(err) != fault.Denied {
					t.Errorf("answered with %q: %v", answered, err)
				}
				if c.want == "" {
					continue
				}
				s.behave(func(b *behaviour) { b.staleNonces = 1 })
				set(t, d, "201", presence.Away)
			}
		})
	}
}

func TestOnePublishAtATimePerExtension(t *testing.T) {
	s, d := pair(t, nil)
	s.inject(pbxtest.Hang)
	first := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { first <- d.SetStatus(ctx, "201", presence.DND) }()
	eventually(t, "the first is under way", func() bool { return len(s.messages()) == 1 })

	waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	wantKind(t, d.SetStatus(waiting, "201", presence.Away), fault.Timeout)
	if n := len(s.messages()); n != 1 {
		t.Errorf("the second was sent beside the first: %d requests", n)
	}
	cancel()
	wantKind(t, <-first, fault.Cancelled)
	s.inject(pbxtest.None)
	set(t, d, "201", presence.Lunch)
	reads(t, d, "201", presence.Lunch)
}

func TestAConnectionThatBreaksIsATimeoutAtOnce(t *testing.T) {
	s, _ := pair(t, nil)
	d := open(t, s.config(TCP))
	reads(t, d, "201", presence.Unset)
	cut := make(chan struct{})
	s.answer(func(*sip.Request) *sip.Response {
		_ = s.ua.TransportLayer().Pool("tcp").Clear()
		close(cut)
		return nil
	})
	began := time.Now()
	wantKind(t, d.SetStatus(t.Context(), "201", presence.DND), fault.Timeout)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to see that the connection is gone", took)
	}
	<-cut                          // the server forgets all connections, one that begins meanwhile as well
	set(t, d, "201", presence.DND) // over a new one
}

func TestWhatNeverLeftIsUnavailable(t *testing.T) {
	s, _ := pair(t, nil)
	config := s.config(TCP)
	s.close()
	err := open(t, config).SetStatus(t.Context(), "201", presence.DND)
	wantKind(t, err, fault.Unavailable)
	if !errors.Is(err, pbx.ErrRefused) {
		t.Errorf("%v does not say that the connection was refused", err)
	}
}

func TestACertificateOfAnotherHostIsDenied(t *testing.T) {
	s, _ := pair(t, nil)
	config := s.config(TLS)
	config.ServerName = "other.example.com"
	_, err := open(t, config).Status(t.Context(), "201")
	wantKind(t, err, fault.Denied)
}

func TestDatagrams(t *testing.T) {
	long := identity.Extension(strings.Repeat("7", 32))
	t.Run("an extension of 32 characters fits", func(t *testing.T) {
		s := newServer(t, long)
		d := open(t, s.config(UDP))
		set(t, d, long, presence.Away)
		set(t, d, long, presence.DND)
	})
	t.Run("what does not fit is said so and not sent", func(t *testing.T) {
		s := newServer(t, long)
		config := s.config(UDP)
		config.Domain = strings.Repeat("very-long-label.", 12) + "example.com"
		err := open(t, config).SetStatus(t.Context(), long, presence.DND)
		wantKind(t, err, fault.Invalid)
		if !errors.Is(err, errTooLarge) {
			t.Errorf("got %v", err)
		}
	})
}

// slowly scripts what the server does with a publication: it says whose it is, and takes it
// when it is let go on.
func slowly(s *server, named chan<- string, goOn <-chan struct{}) func(*sip.Request) *sip.Response {
	return func(req *sip.Request) *sip.Response {
		named <- req.Recipient.User
		<-goOn
		s.mu.Lock()
		u := s.users[req.Recipient.User]
		s.mu.Unlock()
		return s.publish(req, u)
	}
}

// What is written while Close takes things back is either refused or taken back too.
func TestAWriteBesideClosingLeavesNothing(t *testing.T) {
	t.Run("to what was taken back already", func(t *testing.T) {
		s, d := pair(t, func(_ *behaviour, c *Config) { c.RemoveOnClose = true })
		set(t, d, "201", presence.DND)
		set(t, d, "202", presence.DND)
		named, goOn, held, closed := make(chan string, 2), make(chan struct{}), make(chan struct{}), make(chan error, 1)
		close(goOn)
		s.answer(slowly(s, named, goOn), slowly(s, named, held))
		go func() { closed <- d.Close() }()
		first, _ := <-named, <-named
		wantKind(t, d.SetStatus(t.Context(), identity.Extension(first), presence.Away), fault.Unavailable)
		close(held)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if left := s.document("201") + s.document("202"); left != "" {
			t.Errorf("the server shows\n%s", left)
		}
	})
	t.Run("that is under way, for the first time", func(t *testing.T) {
		s, d := pair(t, func(_ *behaviour, c *Config) { c.RemoveOnClose = true })
		set(t, d, "202", presence.DND)
		named, goOn := make(chan string, 2), make(chan struct{})
		s.answer(slowly(s, named, goOn))
		written, closed := make(chan error, 1), make(chan error, 1)
		go func() { written <- d.SetStatus(t.Context(), "201", presence.DND) }()
		<-named
		go func() { closed <- d.Close() }()
		eventually(t, "what nobody writes is taken back meanwhile", func() bool { return s.document("202") == "" })
		close(goOn)
		if err := errors.Join(<-written, <-closed); err != nil {
			t.Error(err)
		}
		if left := s.document("201"); left != "" {
			t.Errorf("the server shows\n%s", left)
		}
	})
}

func TestClosing(t *testing.T) {
	t.Run("removes what was published where that is configured", func(t *testing.T) {
		s, d := pair(t, func(_ *behaviour, c *Config) { c.RemoveOnClose = true })
		set(t, d, "201", presence.DND)
		tag := held(d, "201").ETag
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wantMessages(t, s,
			message{method: "PUBLISH", user: "201", body: true, expires: 3600},
			message{method: "PUBLISH", user: "201", etag: tag, expires: 0})
	})
	t.Run("leaves it otherwise", func(t *testing.T) {
		s, d := pair(t, nil)
		set(t, d, "201", presence.DND)
		d.Close()
		if shown := kamailiotest.Shown(s.document("201")); shown != presence.DND {
			t.Errorf("the server shows %v", shown)
		}
	})
	t.Run("ends what is under way and refuses what comes later", func(t *testing.T) {
		s, d := pair(t, nil)
		s.inject(pbxtest.Hang)
		var calls sync.WaitGroup
		calls.Go(func() {
			if d.SetStatus(t.Context(), "201", presence.DND) == nil {
				t.Error("the write succeeded")
			}
		})
		eventually(t, "the write is under way", func() bool { return len(s.messages()) == 1 })
		began := time.Now()
		d.Close()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("closing took %v", took)
		}
		calls.Wait()
		_, err := d.Status(t.Context(), "201")
		wantKind(t, err, fault.Unavailable)
		wantKind(t, d.SetStatus(t.Context(), "201", presence.DND), fault.Unavailable)
	})
}

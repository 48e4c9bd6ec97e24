package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
)

var kinds = []fault.Kind{fault.Unknown, fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict, fault.Gone, fault.Throttled,
	fault.Unavailable, fault.Timeout, fault.Unsupported, fault.Stale, fault.Cancelled}

func TestEveryKindHasAWordOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds {
		if seen[k.String()] || k.String() == "" {
			t.Errorf("kind %d: %q", k, k)
		}
		seen[k.String()] = true
	}
	if got := fault.Kind(200).String(); got != "unknown" {
		t.Errorf("a kind nobody knows is called %q", got)
	}
}

func TestWhatIsWorthAnotherTry(t *testing.T) {
	again := map[fault.Kind]bool{fault.Throttled: true, fault.Unavailable: true, fault.Timeout: true, fault.Unknown: true, fault.Conflict: true}
	for _, k := range kinds {
		if k.Retryable() != again[k] {
			t.Errorf("%v: retryable %v", k, k.Retryable())
		}
	}
}

func TestKindOf(t *testing.T) {
	denied := fault.New(fault.Denied, "threecx: set status", io.EOF)
	for name, test := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"nothing":                                  {nil, fault.Unknown},
		"nobody classified it":                     {io.EOF, fault.Unknown},
		"classified":                               {denied, fault.Denied},
		"classified and wrapped":                   {fmt.Errorf("apply: %w", denied), fault.Denied},
		"one of several":                           {errors.Join(io.EOF, denied), fault.Denied},
		"the outermost classification counts":      {fault.New(fault.Stale, "writer", denied), fault.Stale},
		"a deadline":                               {fmt.Errorf("get: %w", context.DeadlineExceeded), fault.Timeout},
		"the caller gave up":                       {fmt.Errorf("get: %w", context.Canceled), fault.Cancelled},
		"a classified deadline is what it is said": {fault.New(fault.Unavailable, "nats", context.DeadlineExceeded), fault.Unavailable},
		"formatted":                                {fault.Errorf(fault.Gone, "delta", "token %d: %w", 7, io.EOF), fault.Gone},
	} {
		if got := fault.KindOf(test.err); got != test.want {
			t.Errorf("%s: %v, not %v", name, got, test.want)
		}
	}
}

func TestAnErrorSaysWhatWasTriedAndKeepsItsCause(t *testing.T) {
	for _, test := range []struct {
		err  error
		text string
	}{
		{fault.New(fault.NotFound, "graph: user", nil), "graph: user: not-found"},
		{fault.New(fault.NotFound, "graph: user", io.EOF), "graph: user: EOF"},
		{fault.Errorf(fault.Invalid, "delta", "token %d: %w", 7, io.EOF), "delta: token 7: EOF"},
	} {
		if test.err.Error() != test.text {
			t.Errorf("%q, not %q", test.err, test.text)
		}
	}
	if !errors.Is(fault.Errorf(fault.Invalid, "delta", "token: %w", io.EOF), io.EOF) {
		t.Error("the cause is lost")
	}
}

func TestRetryAfter(t *testing.T) {
	slow := fault.After(fault.Throttled, "graph", 1500*time.Millisecond, io.EOF)
	if got := fault.RetryAfter(fmt.Errorf("sweep: %w", slow)); got != 1500*time.Millisecond || fault.KindOf(slow) != fault.Throttled {
		t.Errorf("%v, %v", got, fault.KindOf(slow))
	}
	for _, err := range []error{nil, io.EOF, fault.New(fault.Throttled, "graph", nil)} {
		if got := fault.RetryAfter(err); got != 0 {
			t.Errorf("%v asks for %v", err, got)
		}
	}
}

// Every status from 400 to 599, so that a new case cannot swallow another.
func TestFromHTTP(t *testing.T) {
	special := map[int]fault.Kind{401: fault.Denied, 402: fault.Denied, 403: fault.Denied, 404: fault.NotFound, 405: fault.Unsupported,
		407: fault.Denied, 408: fault.Timeout, 409: fault.Conflict, 410: fault.Gone, 412: fault.Conflict, 423: fault.Conflict,
		429: fault.Throttled, 501: fault.Unsupported, 504: fault.Timeout}
	for status := 400; status < 600; status++ {
		want, ok := special[status]
		if !ok {
			if want = fault.Invalid; status >= 500 {
				want = fault.Unavailable
			}
		}
		if got := fault.FromHTTP(status); got != want {
			t.Errorf("%d is %v, not %v", status, got, want)
		}
	}
	for _, status := range []int{0, 200, 304} {
		if got := fault.FromHTTP(status); got != fault.Unknown {
			t.Errorf("%d is %v", status, got)
		}
	}
}

package hot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"offhook.dev/libs/core/fault"
)

// Where keys live in Redis; see the package documentation.
const (
	budgetPrefix = "offhook:budget:"
	valuePrefix  = "offhook:value:"
)

const (
	// answerWithin bounds one request with its dialling: what a caller loses on
	// a Redis that does not answer.
	answerWithin = 500 * time.Millisecond
	// askAgainAfter is how long Redis is left alone after it did not answer, so
	// that an outage costs one slow call a second and not each of them.
	askAgainAfter = time.Second
)

// Options are the settings of a Redis store.
type Options struct {
	// Replicas is how many processes share the budgets. While Redis cannot be
	// reached each takes that part of them. Less than 1 is 1.
	Replicas int
	// Log hears when Redis cannot be reached and when it is back, once each; nil
	// is silence.
	Log *slog.Logger
}

// Shared is a Store in Redis, with a Local at hand for when there is none.
type Shared struct {
	client   *redis.Client
	limiter  *redis_rate.Limiter
	local    *Local // budgets while Redis cannot be reached
	replicas int
	log      *slog.Logger

	mu    sync.Mutex
	since time.Time // when the outage began, zero when there is none
	until time.Time // during an outage: when Redis is asked again
}

var _ Store = (*Shared)(nil)

// Redis returns a store in the Redis at url: redis://, rediss:// (TLS) or unix://,
// with user, password and database number in the usual places. A url that is none
// is fault.Invalid, in an error that does not quote it. A Redis that cannot be
// reached is no error; see the package documentation.
func Redis(ctx context.Context, url string, o Options) (*Shared, error) {
	parsed, err := redis.ParseURL(url)
	if err != nil {
		// The parser quotes the url, and with it the password.
		return nil, fault.Errorf(fault.Invalid, "hot: redis", "the url is not of the form redis://user:password@host:port/database (rediss for TLS, unix for a socket)")
	}
	parsed.DialTimeout, parsed.ReadTimeout, parsed.WriteTimeout, parsed.PoolTimeout = answerWithin, answerWithin, answerWithin, answerWithin
	parsed.ContextTimeoutEnabled = true
	parsed.MaxRetries, parsed.DialerRetries = -1, 1 // a retry would only delay the fallback
	parsed.DisableIdentity = true                   // CLIENT SETINFO needs rights that a narrow ACL does not give
	parsed.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	client := redis.NewClient(parsed)
	s := &Shared{
		client: client, limiter: redis_rate.NewLimiter(budgets{client}), local: InProcess(),
		replicas: max(1, o.Replicas), log: o.Log,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	// Asking once now puts a wrong address or password into the log at start.
	_, err = s.ask(ctx, "hot: redis", func(ctx context.Context) error { return client.Ping(ctx).Err() })
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// Take is Store.Take.
func (s *Shared) Take(ctx context.Context, key string, l Limit, n int) (time.Duration, error) {
	if err := check(ctx, key, l, n); err != nil {
		return 0, err
	}
	var result *redis_rate.Result
	answered, err := s.ask(ctx, "hot: take", func(ctx context.Context) (err error) {
		result, err = s.limiter.AllowN(ctx, key, redis_rate.Limit{Rate: l.Events, Period: l.Per, Burst: l.Burst}, n)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case !answered:
		return s.local.take(key, l.share(s.replicas, n), n), nil
	case result.Allowed == n:
		return 0, nil
	}
	// Redis counts in fractions of a second; rounding up keeps a wait from
	// being 0 and from ending a moment too early.
	return result.RetryAfter + time.Microsecond, nil
}

// Get is Store.Get.
func (s *Shared) Get(ctx context.Context, key string) (data []byte, found bool, err error) {
	_, err = s.ask(ctx, "hot: get", func(ctx context.Context) (err error) {
		data, err = s.client.Get(ctx, valuePrefix+key).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		found = err == nil
		return err
	})
	return data, found, err
}

// Set is Store.Set.
func (s *Shared) Set(ctx context.Context, key string, data []byte, ttl time.Duration) error {
	if err := checkTTL(key, ttl); err != nil {
		return err
	}
	_, err := s.ask(ctx, "hot: set", func(ctx context.Context) error {
		return s.client.Set(ctx, valuePrefix+key, data, ttl.Truncate(time.Millisecond)).Err()
	})
	return err
}

// Delete is Store.Delete. While Redis cannot be reached it is fault.Unavailable.
func (s *Shared) Delete(ctx context.Context, key string) error {
	answered, err := s.ask(ctx, "hot: delete", func(ctx context.Context) error {
		return s.client.Del(ctx, valuePrefix+key).Err()
	})
	if err == nil && !answered {
		return fault.Errorf(fault.Unavailable, "hot: delete", "redis cannot be used now, %s may still be there", key)
	}
	return err
}

// Close closes the connections.
func (s *Shared) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("hot: close redis: %w", err)
	}
	return nil
}

// ask sends one request and says whether Redis answered it. The error is only
// ever the end of the caller's own context: everything else is an outage.
func (s *Shared) ask(ctx context.Context, op string, request func(context.Context) error) (answered bool, err error) {
	if err := alive(ctx, op); err != nil {
		return false, err
	}
	if s.resting() {
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = request(bounded)
	if err == nil {
		s.answered()
		return true, nil
	}
	if err := alive(ctx, op); err != nil {
		return false, err
	}
	s.failed(err)
	return false, nil
}

// resting says whether Redis failed so recently that it is not worth asking. When
// the pause is over one caller asks and the others wait for what it finds.
func (s *Shared) resting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.since.IsZero() {
		return false
	}
	if now.Before(s.until) {
		return true
	}
	s.until = now.Add(askAgainAfter)
	return false
}

func (s *Shared) failed(cause error) {
	s.mu.Lock()
	now := time.Now()
	first := s.since.IsZero()
	if first {
		s.since = now
	}
	s.until = now.Add(askAgainAfter)
	s.mu.Unlock()
	if first {
		s.log.Warn("redis cannot be used: rate budgets are divided among the replicas, cached values are not used",
			"replicas", s.replicas, "error", cause)
	}
}

func (s *Shared) answered() {
	s.mu.Lock()
	since := s.since
	s.since = time.Time{}
	s.mu.Unlock()
	if !since.IsZero() {
		s.log.Info("redis can be used again", "after", time.Since(since))
	}
}

// budgets puts redis_rate's keys, which all begin with "rate:", under ours.
type budgets struct{ *redis.Client }

// Eval is redis.Client.Eval under our keys.
func (b budgets) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return b.Client.Eval(ctx, script, ours(keys), args...)
}

// EvalSha is redis.Client.EvalSha under our keys.
func (b budgets) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return b.Client.EvalSha(ctx, sha, ours(keys), args...)
}

func ours(keys []string) []string {
	renamed := make([]string, len(keys))
	for i, key := range keys {
		renamed[i] = budgetPrefix + strings.TrimPrefix(key, "rate:")
	}
	return renamed
}

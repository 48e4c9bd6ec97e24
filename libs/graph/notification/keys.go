package notification

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
)

const (
	refetchAfter = time.Minute    // the least time between two fetches
	keysLive     = 24 * time.Hour // Entra's keys may rotate daily; withdrawn ones must go
	maxKeySet    = 1 << 20        // bytes
	fetchTimeout = 10 * time.Second
)

// errNoKey is for a kid that a fresh key set does not hold, and for a version
// that has no key set.
var errNoKey = errors.New("no such key")

// keySet holds Entra's signing keys per token version, from the fixed paths of
// the login host: nothing that a token or a document says chooses the URL.
type keySet struct {
	client *http.Client
	now    func() time.Time
	urls   map[string]string // token version -> URL

	mu      sync.Mutex // held during a fetch: concurrent callers share it
	keys    map[string]map[string]*rsa.PublicKey
	fetched map[string]time.Time // start of the last fetch, failed ones included
	good    map[string]time.Time // start of the last fetch that succeeded
}

func newKeySet(login string, client *http.Client, now func() time.Time) *keySet {
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{
		client: &direct, now: now,
		urls: map[string]string{
			"1.0": login + "/common/discovery/keys",
			"2.0": login + "/common/discovery/v2.0/keys",
		},
		keys: map[string]map[string]*rsa.PublicKey{}, fetched: map[string]time.Time{}, good: map[string]time.Time{},
	}
}

// find returns the key named kid for a token version. A kid that is not known
// makes it fetch, at most once a minute; in between it cannot know whether the
// key is new or forged, so the error is fault.Unavailable with the time to wait.
func (s *keySet) find(ctx context.Context, version, kid string) (*rsa.PublicKey, error) {
	url, ok := s.urls[version]
	if !ok || kid == "" {
		return nil, errNoKey
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	key, known := s.keys[version][kid]
	if known && now.Sub(s.good[version]) < keysLive {
		return key, nil
	}
	if since := now.Sub(s.fetched[version]); since < refetchAfter {
		if known {
			return key, nil
		}
		return nil, fault.After(fault.Unavailable, "signing keys", refetchAfter-since, errors.New("token names a key that is not known yet"))
	}
	s.fetched[version] = now
	fresh, err := s.fetch(ctx, url)
	switch {
	case err == nil:
		s.keys[version], s.good[version] = fresh, now
	case ctx.Err() != nil:
		delete(s.fetched, version) // our own giving up says nothing about Entra
		return nil, ctx.Err()
	case known:
		return key, nil // Entra is away: the key was good yesterday
	default:
		return nil, fault.After(fault.Unavailable, "signing keys", refetchAfter, err)
	}
	if key, known = fresh[kid]; !known {
		return nil, errNoKey
	}
	return key, nil
}

// fetch reads a key set (RFC 7517).
func (s *keySet) fetch(ctx context.Context, url string) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("login host answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet))
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// parseKeySet keeps the RSA signing keys and skips what it cannot use. A set
// without any is an error, so that a broken answer never replaces good keys.
func parseKeySet(body []byte) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []struct {
			Type string `json:"kty"`
			Use  string `json:"use"`
			ID   string `json:"kid"`
			N    string `json:"n"`
			E    string `json:"e"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Type != "RSA" || k.ID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if errN != nil || errE != nil {
			continue
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if key.N.BitLen() < 2048 || len(e) > 4 || key.E < 3 {
			continue
		}
		keys[k.ID] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("key set holds no RSA signing key")
	}
	return keys, nil
}

package receiver

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
)

// Life of the certificate under which Graph encrypts. It is replaced at half its
// life; the old key stays readable until the certificate has expired.
const certificateLife = 365 * 24 * time.Hour

// keys holds the private keys that open contents. They are made here, and stored
// in the bucket `certificates` sealed by the vault, so that every replica can open
// what was encrypted under another's certificate and nobody else can.
type keys struct {
	bucket *store.Bucket
	vault  *secret.Vault
	now    func() time.Time
	log    *slog.Logger

	mu   sync.RWMutex // guards open
	open notification.Keys
}

// run mirrors the bucket and opens what it can.
func (k *keys) run(ctx context.Context, current func()) error {
	return k.bucket.Watch(ctx, subscription.CertificateKey("*"), func(e store.Entry) error {
		if e.Deleted {
			return nil
		}
		id, key, err := k.unseal(e.Value)
		if err != nil {
			return nil // sealed with another vault key: items that name it are parked
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		replaced := maps.Clone(k.open) // notification.Keys must not change while it is read
		if replaced == nil {
			replaced = notification.Keys{}
		}
		replaced[id] = key
		k.open = replaced
		return nil
	}, current)
}

func (k *keys) unseal(value []byte) (string, *rsa.PrivateKey, error) {
	var c subscription.Certificate
	if err := json.Unmarshal(value, &c); err != nil {
		return "", nil, fmt.Errorf("certificate record: %w", err)
	}
	plain, err := k.vault.Open(c.Sealed)
	if err != nil {
		return "", nil, err
	}
	pair, err := secret.ParseKeyPair(plain)
	if err != nil {
		return "", nil, err
	}
	return c.ID, pair.Key, nil
}

// with returns the keys, among them the one of a certificate id. One that has just
// been made by another replica is looked up. A key that is there but cannot be had
// is fault.Invalid; an error of another kind passes.
func (k *keys) with(ctx context.Context, id string) (notification.Keys, error) {
	k.mu.RLock()
	open := k.open
	k.mu.RUnlock()
	if open[id] != nil {
		return open, nil
	}
	e, err := k.bucket.Get(ctx, subscription.CertificateKey(id))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return open, nil // nobody has it: the content cannot be opened, and is parked
	}
	if err != nil {
		return nil, err
	}
	found, key, err := k.unseal(e.Value)
	if err != nil {
		return nil, fault.New(fault.Invalid, "key of certificate "+id, err)
	}
	return notification.Keys{found: key}, nil
}

// ensure makes a certificate if there is none, the current one is past half its
// life, or its key is sealed for a vault that is lost, and names it as current.
func (k *keys) ensure(ctx context.Context) error {
	e, err := k.bucket.Get(ctx, subscription.CurrentCertificate)
	if err == nil {
		var c subscription.Certificate
		if json.Unmarshal(e.Value, &c) == nil && k.now().Before(c.Made.Add(certificateLife/2)) {
			if _, _, err := k.unseal(e.Value); err == nil {
				return nil
			}
			k.log.Warn("the notification certificate is sealed with another vault key: making a new one; replicas must share one vault file", "certificate", c.ID)
		}
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	pair, err := secret.NewKeyPair("Offhook notifications", k.now(), certificateLife)
	if err != nil {
		return err
	}
	plain, err := pair.PEM()
	if err != nil {
		return err
	}
	sealed, err := k.vault.Seal(plain)
	if err != nil {
		return err
	}
	c := subscription.Certificate{
		ID: subscription.NewKey()[:32], Made: k.now(), Sealed: sealed,
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate.Raw})),
	}
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	// The key first, then its name as the current one: nobody can use a certificate
	// whose key is not stored.
	if _, err := k.bucket.Set(ctx, subscription.CertificateKey(c.ID), value, 0); err != nil {
		return err
	}
	_, err = k.bucket.Set(ctx, subscription.CurrentCertificate, value, e.Revision)
	if fault.KindOf(err) == fault.Conflict && err != nil {
		return nil // another replica was faster: its certificate is the current one
	}
	return err
}

package subscription_test

import (
	"encoding/pem"
	"reflect"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
)

func full() subscription.Record {
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	return subscription.Record{Tenant: "contoso", Directory: "11111111-1111-1111-1111-111111111111", App: "33333333-3333-3333-3333-333333333333",
		Resource: "presence", Account: "anna", ID: "sub-1", State: secret.Hash("state"), CertificateID: "certificate-1",
		Expires: at.Add(time.Hour), Handshake: at.Add(subscription.HandshakeGrace), Users: []identity.User{"44444444-4444-4444-4444-444444444444"}, URL: "https://offhook.example.com", Made: at, Renewed: at}
}

func TestARecordSurvivesTheBucket(t *testing.T) {
	for name, record := range map[string]subscription.Record{"full": full(), "empty": {}} {
		got, err := subscription.Decode(record.Encode())
		if err != nil || !reflect.DeepEqual(got, record) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, record)
		}
	}
	if _, err := subscription.Decode([]byte(`{"tenant":7}`)); err == nil || fault.KindOf(err) != fault.Invalid {
		t.Errorf("rubbish: %v", err)
	}
}

// The key of the bucket can be read by whoever reads the bucket; the path cannot.
func TestPathsAndStatesCannotBeGuessedOrReadBack(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		key, state := subscription.NewKey(), subscription.NewState()
		if seen[key] || seen[state.Reveal()] || key == state.Reveal() {
			t.Fatal("one came twice")
		}
		seen[key], seen[state.Reveal()] = true, true
		if !subscription.IsKey(key) || len(state.Reveal()) > graph.MaxClientState {
			t.Fatalf("a key of %d characters, a state of %d", len(key), len(state.Reveal()))
		}
		first, again := subscription.KeyOf(key), subscription.KeyOf(key)
		if strings.Contains(first, key) || first != again {
			t.Fatal("the bucket's key tells the path, or changes")
		}
	}
	for _, other := range []string{"", "x", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("A", 64), strings.Repeat("0", 63) + "/", strings.Repeat("0", 64) + "\n"} {
		if subscription.IsKey(other) {
			t.Errorf("%q passes for a key", other)
		}
	}
}

func TestACertificateIsReadFromItsRecord(t *testing.T) {
	pair, err := secret.NewKeyPair("test", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := subscription.Certificate{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate.Raw}))}
	if got, err := c.X509(); err != nil || !got.Equal(pair.Certificate) {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := (subscription.Certificate{PEM: text}).X509(); err == nil {
			t.Errorf("%q is a certificate", text)
		}
	}
	if subscription.CertificateKey("a.b*") == "certificate.a.b*" || subscription.CertificateKey("*") != "certificate.*" {
		t.Error("an id can change the meaning of a key")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"expires":"x"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		record, err := subscription.Decode(value)
		if err != nil {
			return
		}
		again, err := subscription.Decode(record.Encode())
		if err != nil || !reflect.DeepEqual(again, record) {
			t.Fatalf("%+v became %+v, %v", record, again, err)
		}
	})
}

package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

func TestSamplesAnswerByNearestRank(t *testing.T) {
	s := sample{4, 1, 3, 2}.sorted()
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.25, 1}, {0.5, 2}, {0.75, 3}, {0.99, 4}, {1, 4}} {
		if got := s.at(c.q); got != c.want {
			t.Errorf("at %v: %d, want %d", c.q, got, c.want)
		}
	}
	if got := (sample)(nil).at(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestCountersAreReadFromWhatPrometheusReads(t *testing.T) {
	got, err := parseCounters(strings.NewReader(strings.Join([]string{
		`# TYPE offhook_notifications_total counter`,
		`offhook_notifications_total{result="stored"} 12`,
		`offhook_notifications_total{instance="a",result="refused"} 1.5e+06`,
		`offhook_notification_items_total{result="stored"} 99`,
		`offhook_handshakes_total 3`,
	}, "\n")), "offhook_notifications_total")
	if err != nil || len(got) != 2 || got["stored"] != 12 || got["refused"] != 1_500_000 || got.total() != 1_500_012 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestVariantsDifferAndSayTheSame(t *testing.T) {
	body, seen := []byte(`{"value":[]}`), map[string]bool{}
	for n := range uint64(1000) {
		v := string(variant(body, n))
		if seen[v] || strings.TrimSpace(v) != string(body) {
			t.Fatalf("variant %d is %q", n, v)
		}
		seen[v] = true
	}
}

func TestWorkIsFoundUnderItsStage(t *testing.T) {
	const door, open = "net/http.(*conn).serve", "offhook.dev/services/webhook-receiver/receiver.(*Receiver).open.func1"
	for _, c := range []struct {
		label string
		stack []string
		want  string
	}{
		{"webhook-receiver", []string{"crypto/rsa.DecryptOAEP", open}, "receiver: open, RSA"},
		{"webhook-receiver", []string{"encoding/json.Unmarshal", open}, "receiver: open, rest"},
		{"webhook-receiver", []string{"crypto/tls.(*Conn).Read", door}, "receiver: door"},
		{"webhook-receiver", []string{"github.com/nats-io/nats.go.(*Conn).readLoop"}, "receiver: bus"},
		{"presence-mapper", []string{"github.com/nats-io/nats-server/v2/server.(*client).readLoop"}, "broker"},
		{"presence-mapper", []string{"encoding/json.Unmarshal"}, "mapper"},
		{"load", []string{"offhook.dev/libs/graph/graphsim.(*Tenant).SetPresence"}, simulators},
		{"", []string{"runtime.gcBgMarkWorker"}, runtimeStage},
	} {
		if got := stage(c.label, c.stack); got != c.want {
			t.Errorf("%q %v is %q, want %q", c.label, c.stack, got, c.want)
		}
	}
}

func TestAProfileOfThisProcessIsRead(t *testing.T) {
	var raw bytes.Buffer
	if err := pprof.StartCPUProfile(&raw); err != nil {
		t.Fatal(err)
	}
	pprof.Do(t.Context(), pprof.Labels(stageLabel, "probe"), func(context.Context) {
		for began := cpuTime(); cpuTime()-began < 200*time.Millisecond; {
			sha256.Sum256(make([]byte, 1<<16))
		}
	})
	pprof.StopCPUProfile()
	samples, err := parseProfile(raw.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if s.labels[stageLabel] == "probe" && s.cpu > 0 && strings.Contains(strings.Join(s.stack, " "), "crypto/sha256.Sum256") {
			return
		}
	}
	t.Errorf("%d samples, none of the work", len(samples))
}

// No fuzz target: its instrumentation would compile Microsoft's SDK once more.
func TestADamagedProfileIsAnErrorAndNoCrash(t *testing.T) {
	zip := func(message []byte) []byte {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		z.Write(message)
		z.Close()
		return zipped.Bytes()
	}
	whole := []byte{
		0x12, 0x09, 0x0a, 0x01, 0x01, 0x12, 0x02, 0x01, 0x07, 0x1a, 0x00, // a sample: location 1, values 1 and 7, an empty label
		0x22, 0x06, 0x08, 0x01, 0x22, 0x02, 0x08, 0x05, // location 1: a line of function 5, which is unknown
	}
	if samples, err := parseProfile(zip(whole)); err != nil || len(samples) != 1 || samples[0].cpu != 7 {
		t.Fatalf("the whole profile: %v, %v", samples, err)
	}
	for n := 1; n < len(whole); n++ {
		if _, err := parseProfile(zip(whole[:n])); err == nil && n != 11 { // 11: between two fields
			t.Errorf("cut off after %d bytes: no error", n)
		} else if err != nil && !errors.Is(err, errProfile) {
			t.Errorf("cut off after %d bytes: error %v is not classified", n, err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0xff
		if _, err := parseProfile(zip(flipped)); err != nil && !errors.Is(err, errProfile) {
			t.Errorf("byte %d damaged: error %v is not classified", n, err)
		}
	}
	if _, err := parseProfile([]byte("not gzipped")); !errors.Is(err, errProfile) {
		t.Errorf("not gzipped: error %v", err)
	}
}

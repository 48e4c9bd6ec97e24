package sippresence

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// cannot are the cases of the suite that a real Kamailio cannot pass, with what they say:
// it keeps no list of extensions, and takes publications for all. They must fail.
var cannot = map[string]string{
	"a read of an unknown extension is not found":  "want an error that is not-found, got success",
	"a write to an unknown extension is not found": "want an error that is not-found, got success",
}

// The suite against a real Kamailio, over UDP and by way of a relay that counts requests and
// misbehaves in its place. It is not parallel to others, whose goroutines it would take for
// some that its driver left.
func TestKamailioPassesTheSuite(t *testing.T) {
	k, ok := startKamailio(t, kamailiotest.Memory)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	serial := 0
	failed := pbxtest.Check(ctx, func() pbxtest.Harness {
		serial++
		return newRealHarness(t, k, serial)
	})
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		if said, expected := cannot[name]; !expected || !strings.Contains(failed[name], said) {
			t.Errorf("%s: %s", name, failed[name])
		}
	}
	for name := range cannot {
		if failed[name] == "" {
			t.Errorf("%s: passed", name)
		}
	}
}

// realHarness is a part of a Kamailio: extensions that no other harness has, behind a relay.
type realHarness struct {
	t          *testing.T
	server     kamailio
	relay      *relay
	driver     pbx.Driver
	extensions []identity.Extension
	tags       map[identity.Extension]string // of what a person has published
}

func newRealHarness(t *testing.T, k kamailio, serial int) *realHarness {
	h := &realHarness{t: t, server: k, relay: newRelay(t, k.Address("udp")), tags: make(map[identity.Extension]string)}
	for i := range 5 {
		h.extensions = append(h.extensions, identity.Extension(strconv.Itoa(1000*serial+i)))
	}
	config := k.config(UDP)
	config.Server, config.Extensions = h.relay.address(), h.extensions
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	h.driver = d
	for _, ext := range h.extensions {
		h.Choose(ext, presence.Available)
	}
	return h
}

func (h *realHarness) Driver() pbx.Driver               { return h.driver }
func (h *realHarness) Extensions() []identity.Extension { return h.extensions }
func (h *realHarness) Absent() identity.Extension       { return "999" }
func (h *realHarness) Requests() int                    { return h.relay.requests() }
func (h *realHarness) Inject(f pbxtest.Fault)           { h.relay.inject(f) }
func (h *realHarness) Close()                           { h.relay.close() }

func (h *realHarness) Shown(ext identity.Extension) presence.Status {
	return kamailiotest.Shown(h.server.Fetch(h.t, ext))
}

// Choose publishes as the phone of a person, beside what the driver has published. With its
// publications in memory Kamailio shows what came last (5.6.3, 2026-11), also within one
// second.
func (h *realHarness) Choose(ext identity.Extension, s presence.Status) {
	h.tags[ext] = h.server.Publish(h.t, ext, h.tags[ext], foreign(s), 600)
}

// relay passes datagrams on between one client and a server.
type relay struct {
	front, back net.PacketConn
	server      net.Addr
	passing     sync.WaitGroup

	mu     sync.Mutex
	client net.Addr
	count  map[string]bool // Call-IDs of requests; a challenged one keeps its own
	tries  map[string]bool // their branches; a challenged one has another then
	fault  pbxtest.Fault
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	r := &relay{count: make(map[string]bool), tries: make(map[string]bool)}
	var err error
	if r.server, err = net.ResolveUDPAddr("udp", server); err != nil {
		t.Fatal(err)
	}
	for _, side := range []*net.PacketConn{&r.front, &r.back} {
		if *side, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	r.passing.Go(func() { r.pass(r.front, r.forth) })
	r.passing.Go(func() { r.pass(r.back, r.home) })
	return r
}

func (r *relay) address() string { return r.front.LocalAddr().String() }
func (r *relay) close()          { r.front.Close(); r.back.Close(); r.passing.Wait() }

func (r *relay) inject(f pbxtest.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

func (r *relay) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.count)
}

// transactions counts a challenged request and its repetition apart.
func (r *relay) transactions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tries)
}

func (r *relay) pass(from net.PacketConn, to func(datagram []byte, sender net.Addr)) {
	buffer := make([]byte, 64<<10)
	for {
		n, sender, err := from.ReadFrom(buffer)
		if err != nil {
			return
		}
		to(slices.Clone(buffer[:n]), sender)
	}
}

// forth takes a request, or an answer to a NOTIFY, to the server, or answers instead.
func (r *relay) forth(datagram []byte, sender net.Addr) {
	text := string(datagram)
	r.mu.Lock()
	r.client = sender
	fault := r.fault
	request := !strings.HasPrefix(text, "SIP/2.0")
	if request {
		r.count[header(text, "Call-ID")] = true
		r.tries[branch.FindString(text)] = true
	}
	r.mu.Unlock()
	answer := map[pbxtest.Fault]string{pbxtest.Down: "503 Service Unavailable", pbxtest.Deny: "403 Forbidden", pbxtest.Throttle: "503 Service Unavailable"}[fault]
	more := ""
	if fault == pbxtest.Throttle {
		more = fmt.Sprintf("Retry-After: %d\r\n", int(pbxtest.ThrottleDelay/time.Second))
	}
	// So that NOTIFYs come this way as well.
	text = contact.ReplaceAllString(text, "${1}"+r.back.LocalAddr().String())
	switch {
	case !request:
		_, _ = r.back.WriteTo(datagram, r.server)
	case answer != "":
		_, _ = r.front.WriteTo([]byte(response(answer, text, more)), sender)
	case fault != pbxtest.Hang:
		_, _ = r.back.WriteTo([]byte(text), r.server)
	}
}

var branch = regexp.MustCompile(`branch=z9hG4bK[^;\r]+`)

var contact = regexp.MustCompile(`(\r\nContact: <sip:offhook@)127\.0\.0\.1:\d+`)

// home takes what the server says to the client; with a lost answer no success, and as
// garbage no document that makes sense.
func (r *relay) home(datagram []byte, _ net.Addr) {
	r.mu.Lock()
	client, fault := r.client, r.fault
	r.mu.Unlock()
	if fault == pbxtest.Garbage {
		datagram = bytes.ReplaceAll(datagram, []byte("presence>"), []byte("presence<")) // the last tag, of whatever prefix
	}
	if fault != pbxtest.LostAnswer || !bytes.HasPrefix(datagram, []byte("SIP/2.0 2")) {
		_, _ = r.front.WriteTo(datagram, client)
	}
}

// header is the first value of a header.
func header(text, name string) string {
	_, rest, _ := strings.Cut(text, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

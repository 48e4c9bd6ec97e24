package sippresence

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxbench"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// BenchmarkStatusWrites publishes on a real Kamailio that keeps publications in memory,
// with and without 1,000 phones that watch the extensions, each about sixteen times. A
// write is one PUBLISH that answers the challenge which the first one got. The floor is the
// same requests by the same library and nothing of ours, as that of the HTTP drivers is
// net/http. What the library itself takes is in the rows "sipgo alone", whose floor is the
// same frames over one bare connection. Kamailio keeps every NOTIFY for seconds, for which
// it needs much memory. Without Kamailio nothing is measured.
func BenchmarkStatusWrites(b *testing.B) {
	for _, watchers := range []int{0, 1000} {
		for _, transport := range []Transport{UDP, TCP} {
			for _, inFlight := range []int{1, 16} {
				b.Run(fmt.Sprintf("%d watchers/%s/%d in flight", watchers, transport, inFlight), func(b *testing.B) {
					benchmarkWrites(b, watchers, transport, inFlight, false)
				})
			}
		}
	}
	for _, transport := range []Transport{UDP, TCP} {
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("sipgo alone/%s/%d in flight", transport, inFlight), func(b *testing.B) {
				benchmarkWrites(b, 0, transport, inFlight, true)
			})
		}
	}
}

func benchmarkWrites(b *testing.B, watchers int, transport Transport, inFlight int, alone bool) {
	server := kamailiotest.Start(b, kamailiotest.Options{Storage: kamailiotest.Memory, Memory: 4096})
	if server == nil {
		return
	}
	extensions := numbered(64)
	if watchers > 0 {
		server.Crowd(b, watchers, extensions)
	}
	config := kamailio{server}.config(transport)
	d, err := Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	library := newPublisher(b, config)
	w := pbxbench.Writing{Driver: d, Extensions: extensions, InFlight: inFlight, Turn: 256,
		Floor: func(n int) { library.write(b, n, inFlight) }}
	if alone {
		w.Driver = publishing{d, library}
		bare := newBare(b, server, transport, inFlight)
		w.Floor = func(n int) { bare.write(b, n) }
	}
	pbxbench.Writes(b, w)
}

// publisher publishes for 64 extensions by sipgo, with nothing around it.
type publisher struct {
	client    *sipgo.Client
	transport string
	server    string
	challenge *digest.Challenge
	count     atomic.Int64 // answers to it
	next      int
	lines     [64]struct {
		sync.Mutex
		tag    string
		writes int
	}
}

func newPublisher(b *testing.B, config Config) *publisher {
	b.Helper()
	silent := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(silent)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ua.Close() })
	client, err := sipgo.NewClient(ua, sipgo.WithClientNAT(), sipgo.WithClientHostname("127.0.0.1"))
	if err != nil {
		b.Fatal(err)
	}
	p := &publisher{client: client, transport: strings.ToUpper(string(config.Transport)), server: config.Server}
	refusal, err := p.request(b.Context(), 0, "")
	if err != nil {
		b.Fatal(err)
	}
	header := refusal.GetHeader("WWW-Authenticate")
	if header == nil {
		b.Fatalf("without credentials: %s", refusal.Short())
	}
	if p.challenge, err = digest.ParseChallenge(header.Value()); err != nil {
		b.Fatal(err)
	}
	return p
}

// publish makes the next publication of extension number i.
func (p *publisher) publish(ctx context.Context, i int) error {
	line := &p.lines[i]
	line.Lock()
	defer line.Unlock()
	credentials, err := digest.Digest(p.challenge, digest.Options{
		Method: "PUBLISH", URI: fmt.Sprintf("sip:%d@%s", 1000+i, domain), Username: username, Password: password, Count: int(p.count.Add(1)),
	})
	if err != nil {
		return err
	}
	res, err := p.request(ctx, i, credentials.String())
	if err != nil {
		return err
	}
	tag := res.GetHeader("SIP-ETag")
	if !res.IsSuccess() || tag == nil {
		return fmt.Errorf("%s", res.Short())
	}
	line.tag = tag.Value()
	line.writes++
	return nil
}

// request sends a PUBLISH and returns the final response.
func (p *publisher) request(ctx context.Context, i int, credentials string) (*sip.Response, error) {
	line := &p.lines[i]
	status := presence.DND
	if line.writes%2 == 1 { // so that each write is a change
		status = presence.Available
	}
	address := sip.Uri{Scheme: "sip", User: strconv.Itoa(1000 + i), Host: domain}
	req := publication(Presence, address, line.tag, compose(address.String(), status), time.Hour)
	if credentials != "" {
		req.AppendHeader(sip.NewHeader("Authorization", credentials))
	}
	req.SetTransport(p.transport)
	req.SetDestination(p.server)
	tx, err := p.client.TransactionRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	return await(ctx, tx)
}

// write makes n writes.
func (p *publisher) write(b *testing.B, n, inFlight int) {
	first := p.next
	p.next += n
	pbxbench.InTurns(n, inFlight, func(i int) bool {
		err := p.publish(b.Context(), (first+i)%len(p.lines))
		if err != nil {
			b.Error(err)
		}
		return err == nil
	})
}

// publishing is a driver whose writes a publisher makes.
type publishing struct {
	pbx.Driver
	*publisher
}

// SetStatus writes what comes next, which is a change as well.
func (p publishing) SetStatus(ctx context.Context, ext identity.Extension, _ presence.Status) error {
	i, err := strconv.Atoi(string(ext))
	if err != nil {
		return err
	}
	return p.publish(ctx, i-1000)
}

// BenchmarkMemory is of ten drivers, each of which keeps 2,000 publications alive: SIP
// presence is not watched.
func BenchmarkMemory(b *testing.B) {
	server := kamailiotest.Start(b, kamailiotest.Options{Storage: kamailiotest.Memory, Memory: 512})
	if server == nil {
		return
	}
	extensions := numbered(pbxbench.Extensions)
	pbxbench.Memory(b, func(i int) pbx.Driver {
		config := kamailio{server}.config(UDP)
		config.AOR = fmt.Sprintf("sip:%d-{ext}@{domain}", i)
		d, err := Open(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		return d
	}, func(_ int, s *pbx.System) {
		pbxbench.InTurns(len(extensions), 4, func(i int) bool {
			err := s.SetStatus(b.Context(), extensions[i], presence.DND)
			if err != nil {
				b.Error(err)
			}
			return err == nil
		})
	})
}

func numbered(n int) []identity.Extension {
	var all []identity.Extension
	for i := range n {
		all = append(all, identity.Extension(strconv.Itoa(1000+i)))
	}
	return all
}

// bare publishes for 64 extensions of its own over one connection. Each of those that
// are in flight has its share of them, so that a tag is known before it is needed.
type bare struct {
	wire      *kamailiotest.Wire
	transport Transport
	inFlight  int
	challenge *digest.Challenge // the last one; nil: none yet
	count     int               // answers to it
	tags      [64]string        // by extension
	writes    [64]int
}

func newBare(b *testing.B, server *kamailiotest.Server, transport Transport, inFlight int) *bare {
	b.Helper()
	wire, err := server.Dial(string(transport))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { wire.Close() })
	return &bare{wire: wire, transport: transport, inFlight: inFlight}
}

// answer is the Authorization header, with its line end, of the next PUBLISH.
func (f *bare) answer(b *testing.B, uri string) string {
	if f.challenge == nil {
		return ""
	}
	f.count++
	credentials, err := digest.Digest(f.challenge, digest.Options{Method: "PUBLISH", URI: uri, Username: username, Password: password, Count: f.count})
	if err != nil {
		b.Fatal(err)
	}
	return "Authorization: " + credentials.String() + "\r\n"
}

// send sends the next PUBLISH of an extension. The Call-ID names the extension.
func (f *bare) send(b *testing.B, i, sequence int) {
	uri := fmt.Sprintf("sip:%d@%s", 1000+i, domain)
	status, condition := presence.DND, ""
	if f.writes[i]%2 == 1 { // so that each write is a change
		status = presence.Available
	}
	if f.tags[i] != "" {
		condition = "SIP-If-Match: " + f.tags[i] + "\r\n"
	}
	body := compose(uri, status)
	_, port, _ := net.SplitHostPort(f.wire.LocalAddr().String())
	var frame bytes.Buffer
	fmt.Fprintf(&frame, "PUBLISH %s SIP/2.0\r\nVia: SIP/2.0/%s 127.0.0.1:%s;rport;branch=z9hG4bK-%d-%d-%d\r\nMax-Forwards: 70\r\n"+
		"From: <%s>;tag=f%d-%d\r\nTo: <%s>\r\nCall-ID: %d\r\nCSeq: %d PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n%s%s"+
		"Content-Type: application/pidf+xml\r\nContent-Length: %d\r\n\r\n%s",
		uri, map[Transport]string{UDP: "UDP", TCP: "TCP"}[f.transport], port, i, f.writes[i], sequence,
		uri, i, f.writes[i], uri, i, 2*f.writes[i]+sequence, condition, f.answer(b, uri), len(body), body)
	if _, err := f.wire.Write(frame.Bytes()); err != nil {
		b.Error(err)
	}
}

// write makes n writes.
func (f *bare) write(b *testing.B, n int) {
	if err := f.wire.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil { // a lost datagram would never be missed
		b.Fatal(err)
	}
	next, share := make([]int, f.inFlight), 64/f.inFlight // extensions of one that is in flight
	begun := 0
	begin := func(slot int) {
		f.send(b, slot*share+next[slot]%share, 1)
		next[slot]++
		begun++
	}
	for slot := range min(f.inFlight, n) {
		begin(slot)
	}
	for done := 0; done < n; {
		m, err := f.wire.Read()
		if err != nil {
			b.Fatal(err)
		}
		i, err := strconv.Atoi(m.Header("Call-ID"))
		if err != nil || i < 0 || i >= 64 {
			b.Fatalf("an answer to %q", m.Header("Call-ID"))
		}
		switch m.Status() {
		case 401:
			if f.challenge, err = digest.ParseChallenge(m.Header("WWW-Authenticate")); err != nil {
				b.Fatal(err)
			}
			f.count = 0
			f.send(b, i, 2)
		case 200:
			f.tags[i] = m.Header("SIP-ETag")
			f.writes[i]++
			if done++; begun < n {
				begin(i / share)
			}
		case 100:
		default:
			b.Fatalf("%s", m.Head)
		}
	}
}

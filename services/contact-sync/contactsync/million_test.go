package contactsync

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// brokerDir is set for the process that is the broker of TestManyMailboxes.
const brokerDir = "OFFHOOK_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDir); dir != "" {
		os.Exit(serveBroker(dir))
	}
	os.Exit(m.Run())
}

// serveBroker runs a broker that syncs, until its standard input ends.
func serveBroker(dir string) int {
	server, err := embedded.Start(embedded.Options{Dir: dir, Host: "127.0.0.1", Port: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	fmt.Println(server.ClientURL())
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// load is how many mailboxes of how many contacts each.
func load(t *testing.T) (mailboxes, contacts int) {
	t.Helper()
	mailboxes, contacts = 20, 100
	if s := os.Getenv("OFFHOOK_MAILBOXES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		mailboxes = n
	}
	return mailboxes, contacts
}

// Many mailboxes are read for the first time, and once more when nothing has changed. The
// broker is a process of its own, the phone system keeps nothing, and pages are made as
// they are published, so that the memory of this process is contact-sync's.
// OFFHOOK_MAILBOXES=10000 is the installation of the product's figures.
func TestManyMailboxes(t *testing.T) {
	mailboxes, each := load(t)
	broker, pid := ownBroker(t)
	b, err := bus.Connect(t.Context(), bus.Options{URL: broker, Service: "contact-sync", Instance: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close) // after what works with it, which is cleaned up first
	if err := b.Apply(t.Context(), bus.Layout{}); err != nil {
		t.Fatal(err)
	}
	m := &many{t: t, bus: b, mailboxes: mailboxes, each: each}
	m.publish(wire.System{System: hq, PersonalBooks: true, Numbers: []directory.NumberKind{directory.MobileNumber, directory.BusinessNumber}, SeenAt: b.Now()})
	m.linkAll()
	m.background(m.write)
	m.background(func(ctx context.Context) error {
		deps := run.Deps{Instance: "test", Bus: b, Log: slog.New(slog.DiscardHandler), Health: run.NewHealth(), Hot: hot.InProcess(), Meter: meter.NewMeterProvider().Meter(""), Tracer: tracer.NewTracerProvider().Tracer("")}
		return Run(ctx, deps, Options{Tenants: []Tenant{{ID: contoso, Personal: true, Region: "DE", Policy: plan.Sync, Brake: plan.Brake{Count: 3, Percent: 5}, Systems: []identity.System{hq}}}})
	})

	first := m.round(1)
	created := m.created.Load()
	second := m.round(2)
	if created != int64(mailboxes*each) || m.created.Load() != created || m.others.Load() != 0 {
		t.Errorf("%d entries were created, want %d; then %d more, and %d other changes", created, mailboxes*each, m.created.Load()-created, m.others.Load())
	}
	values, bytes := m.atRest()
	if values != mailboxes {
		t.Errorf("%d values are kept for %d mailboxes", values, mailboxes)
	}
	if per := float64(bytes) / float64(mailboxes*each); per > 32 {
		t.Errorf("%.1f bytes are kept for each contact", per)
	}
	t.Logf("%d mailboxes of %d contacts: first run %v (peak heap %d MB), second run without changes %v (peak heap %d MB), live heap afterwards %d MB; broker %s; %.1f bytes at rest for each contact (values), %.1f MB in all",
		mailboxes, each, first.took, first.peak>>20, second.took, second.peak>>20, m.live()>>20, memoryOf(pid), float64(bytes)/float64(mailboxes*each), float64(bytes)/1e6)
}

// ownBroker starts a broker as a process of its own.
func ownBroker(t *testing.T) (url string, pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^$")
	c.Env = append(os.Environ(), brokerDir+"="+t.TempDir())
	c.Stderr = t.Output()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	line := make([]byte, 256)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line[:n])), c.Process.Pid
}

// memoryOf says what a process has and had in memory, where the system tells.
func memoryOf(pid int) string {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return "unknown"
	}
	var found []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			found = append(found, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(found, ", ")
}

// many are mailboxes and a phone system that keep nothing in memory.
type many struct {
	t               *testing.T
	bus             *bus.Bus
	mailboxes, each int
	created, others atomic.Int64
	ids             atomic.Int64
}

func (m *many) publish(all ...wire.Message) {
	m.t.Helper()
	for _, message := range all {
		subject, data := message.Encode()
		if _, err := m.bus.Publish(m.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *many) background(do func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	})
}

// parallel does something for each mailbox, several at a time.
func (m *many) parallel(do func(i int) error) {
	m.t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for i := range m.mailboxes {
		g.Go(func() error { return do(i) })
	}
	if err := g.Wait(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *many) linkAll() {
	bucket, err := store.Open(m.t.Context(), m.bus.JetStream(), topology.Links)
	if err != nil {
		m.t.Fatal(err)
	}
	m.parallel(func(i int) error {
		value, err := jsonOf(links.Record{Lines: []links.Line{{Line: lineOf(hq, identity.Extension(strconv.Itoa(100_000+i))), Revision: 1, How: "mail", Since: m.bus.Now()}}})
		if err != nil {
			return err
		}
		_, err = bucket.Put(m.t.Context(), wire.PersonKey(person(i)), value)
		return err
	})
}

// write applies series as a phone system does that gives ids and forgets the rest.
func (m *many) write(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{Stream: topology.Changes, Durable: "writer", Filters: []string{"pbx.want.contact.hq.*.*"}}, func(ctx context.Context, msg bus.Message) error {
		want, err := wire.DecodeContactsWant(msg.Data)
		if err != nil {
			return err
		}
		o := wire.ContactsOutcome{ID: want.ID, Mailbox: want.Mailbox, Book: want.Book, Chunk: want.Chunk, At: m.bus.Now()}
		for _, c := range want.Changes {
			id := c.Contact.ID
			if c.Op == wire.OpCreate {
				m.created.Add(1)
				id = strconv.FormatInt(m.ids.Add(1), 10)
			} else {
				m.others.Add(1)
			}
			o.Results = append(o.Results, wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: id, Result: wire.ChangeDone})
		}
		subject, data := o.Encode()
		_, err = m.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
		return err
	})
}

// measured is what a round took.
type measured struct {
	took time.Duration
	peak uint64 // bytes of live and not yet collected objects
}

// round has every mailbox read whole and waits until all is done.
func (m *many) round(n uint64) (x measured) {
	m.t.Helper()
	runtime.GC()
	watching, stop := context.WithCancel(m.t.Context())
	peak := make(chan uint64)
	go func() { peak <- watchHeap(watching) }()
	began := time.Now()
	m.parallel(func(i int) error {
		p := wire.ContactsPage{Mailbox: person(i), Folder: "AAMkAGI2TG93AAA", Round: n, Full: true, First: true, Last: true, SeenAt: m.bus.Now()}
		for k := range m.each {
			p.Contacts = append(p.Contacts, contact(i*m.each+k, 1))
		}
		subject, data := p.Encode()
		_, err := m.bus.Publish(m.t.Context(), bus.Message{Subject: subject, Data: data})
		return err
	})
	bustest.Eventually(m.t, 30*time.Minute, func() string {
		for _, name := range []topology.Stream{topology.Pages, topology.Changes} {
			stream, err := m.bus.JetStream().Stream(m.t.Context(), string(name))
			if err != nil {
				return err.Error()
			}
			if n := stream.CachedInfo().State.Msgs; n > 0 {
				<-time.After(20 * time.Millisecond)
				return fmt.Sprintf("%d messages wait in %s", n, name)
			}
		}
		return ""
	})
	x.took = time.Since(began).Round(10 * time.Millisecond)
	stop()
	x.peak = <-peak
	return x
}

// watchHeap returns the most that the heap held until ctx ended.
func watchHeap(ctx context.Context) (most uint64) {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for ctx.Err() == nil {
		runtimemetrics.Read(sample)
		most = max(most, sample[0].Value.Uint64())
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return most
}

// live is what the heap holds after a collection.
func (m *many) live() uint64 {
	runtime.GC()
	runtime.GC()
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}

// atRest counts the values of the bucket and their bytes.
func (m *many) atRest() (values, bytes int) {
	m.t.Helper()
	bucket, err := store.Open(m.t.Context(), m.bus.JetStream(), topology.Books)
	if err != nil {
		m.t.Fatal(err)
	}
	err = bucket.Each(m.t.Context(), "contoso.*.*.*", func(e store.Entry) error {
		values++
		bytes += len(e.Value)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return values, bytes
}

package asterisk

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/asterisk/ami"
)

// together is how many actions of one call are in flight at a time: half of what a
// connection takes, so that others have their turn.
const together = 8

var errNoAnswer = errors.New("no answer for too long")

// session is a connection with what was learned over it.
type session struct {
	*ami.Conn
	config Config
	told   atomic.Bool // that it was lost

	mu     sync.Mutex
	known  map[identity.Extension][]string // the devices of extensions that are there
	looked time.Time                       // since when they are known
}

// remembered is how long devices are. Somebody may give an extension another one.
const remembered = 5 * time.Minute

// connected returns the session for requests, and makes one if there is none. The loss of
// the one before is told first: see the package.
func (d *Driver) connected(ctx context.Context, op string) (*session, error) {
	if s := d.current.Load(); s != nil && s.Err() == nil {
		return s, nil
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	s := d.current.Load()
	switch {
	case d.isClosed():
		return nil, fault.New(fault.Unavailable, op, errClosed)
	case s == nil:
	case s.Err() == nil:
		return s, nil
	case !s.told.Swap(true):
		return nil, fault.Errorf(fault.Unavailable, op, "the connection was lost, and what was written last may be as well: %w", s.Err())
	}
	fresh, err := d.dial(ctx, op, ami.Config{})
	if err != nil {
		return nil, err
	}
	d.current.Store(fresh)
	if d.isClosed() { // meanwhile
		fresh.Close()
		return nil, fault.New(fault.Unavailable, op, errClosed)
	}
	return fresh, nil
}

// dial signs in. Of with only what concerns events counts.
func (d *Driver) dial(ctx context.Context, op string, with ami.Config) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.config.Timeout, errNoAnswer)
	defer cancel()
	client := d.config.client()
	client.Events, client.Hear = with.Events, with.Hear
	conn, err := ami.Dial(ctx, client)
	if err != nil {
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			return nil, fault.Errorf(fault.Unavailable, op, "%w: %w", errNoAnswer, err)
		}
		return nil, unreachable(op, err)
	}
	return &session{Conn: conn, config: d.config, known: make(map[identity.Extension][]string), looked: time.Now()}, nil
}

// bounded gives an action a deadline whose caller has set none.
func (s *session) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, set := ctx.Deadline(); set {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, s.config.Timeout, errNoAnswer)
}

// read is an action that changes nothing.
func (s *session) read(ctx context.Context, op string, a ami.Action) (ami.Message, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	m, err := s.Do(ctx, a)
	return m, s.judge(op, false, err)
}

// list is an action that is answered by a list.
func (s *session) list(ctx context.Context, op string, a ami.Action) ([]ami.Message, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all, err := s.List(ctx, a)
	return all, s.judge(op, false, err)
}

// write is some actions that change something, sent together. An error is that of the
// first that failed. Deleting what is not there is done.
func (s *session) write(ctx context.Context, op string, actions ...ami.Action) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for i, err := range s.DoAll(ctx, actions) {
		if err != nil && !(actions[i].Name == "DBDel" && says(err, saysNoEntry)) {
			return s.judge(op, true, err)
		}
	}
	return nil
}

// judge classifies, and notes whether the loss of the connection is told by this.
func (s *session) judge(op string, write bool, err error) error {
	if err == nil {
		return nil
	}
	err = classify(op, write, err)
	var lost *ami.LostError
	if errors.As(err, &lost) && fault.KindOf(err) == fault.Unavailable {
		s.told.Store(true)
	}
	return err
}

// entry reads the database: found is false if there is none.
func (s *session) entry(ctx context.Context, op, family, key string) (value string, found bool, err error) {
	items, err := s.list(ctx, op, ami.NewAction("DBGet", "Family", family, "Key", key))
	switch {
	case says(err, saysNoEntry):
		return "", false, nil
	case err != nil:
		return "", false, err
	case len(items) != 1 || !strings.EqualFold(items[0].Get("Key"), key):
		return "", false, s.senseless(op, "DBGet")
	}
	return items[0].Get("Val"), true, nil
}

// senseless is an answer that is none to what was asked.
func (s *session) senseless(op, action string) error {
	return fault.Errorf(fault.Unavailable, op, "the answer to %s makes no sense", action)
}

// devices are those of an extension: NotFound if there is no such.
func (s *session) devices(ctx context.Context, op string, ext identity.Extension) ([]string, error) {
	s.mu.Lock()
	devices, ok := s.known[ext]
	s.mu.Unlock()
	if ok {
		return devices, nil
	}
	devices, found, err := s.look(ctx, op, ext)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.Errorf(fault.NotFound, op, "there is no extension %s", ext)
	}
	s.mu.Lock()
	s.known[ext] = devices
	s.mu.Unlock()
	return devices, nil
}

// met are the devices of an extension as far as they are known.
func (s *session) met(ext identity.Extension) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[ext]
}

// look asks whether there is an extension.
func (s *session) look(ctx context.Context, op string, ext identity.Extension) (devices []string, found bool, err error) {
	if s.config.Profile != Plain {
		text, found, err := s.entry(ctx, op, "AMPUSER", string(ext)+"/device")
		return parseDevices(text), found, err
	}
	if len(s.config.Extensions) > 0 {
		for _, listed := range s.config.Extensions {
			found = found || listed == ext
		}
		return nil, found, nil
	}
	_, found, err = s.hint(ctx, op, ext)
	return nil, found, err
}

// hint asks for the hint of one extension: found is false if there is none.
func (s *session) hint(ctx context.Context, op string, ext identity.Extension) (h hint, found bool, err error) {
	m, err := s.read(ctx, op, ami.NewAction("ExtensionState", "Exten", string(ext), "Context", s.config.Context))
	if err != nil {
		return hint{}, false, err
	}
	switch status := m.Get("Status"); {
	case status == "-1":
		return hint{}, false, nil
	case status == "" || !strings.EqualFold(m.Get("Exten"), string(ext)):
		return hint{}, false, s.senseless(op, "ExtensionState")
	}
	return parseHint(m.Get("Hint")), true, nil
}

// parseDevices reads the entry "device" of a user of FreePBX: "200&1200". What cannot be
// a device is none.
func parseDevices(text string) []string {
	var devices []string
	for device := range strings.SplitSeq(text, "&") {
		if _, err := identity.ParseExtension(device); err == nil {
			devices = append(devices, device)
		}
	}
	return devices
}

// keep forgets everybody who is not among those that there are, and everybody now and then.
func (s *session) keep(there map[identity.Extension]hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) > remembered {
		clear(s.known)
		s.looked = time.Now()
	}
	for ext := range s.known {
		if _, ok := there[ext]; !ok {
			delete(s.known, ext)
		}
	}
}

// each does something n times, some at a time, and returns one of the errors. After an
// error it begins no more.
func each(n int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	var (
		workers sync.WaitGroup
		next    atomic.Int64
		failed  atomic.Pointer[error]
	)
	work := func() {
		for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
			if err := do(i); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	}
	for range min(n, together) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// hint is what the dialplan says of an extension: its phones, as "PJSIP/200".
type hint struct{ phones []string }

// hints are the extensions that there are.
func (s *session) hints(ctx context.Context, op string) (map[identity.Extension]hint, error) {
	all := make(map[identity.Extension]hint)
	if len(s.config.Extensions) > 0 {
		for _, ext := range s.config.Extensions {
			all[ext] = hint{[]string{of(s.config.Device, ext)}}
		}
		return all, nil
	}
	items, err := s.list(ctx, op, ami.NewAction("ExtensionStateList"))
	if err != nil {
		return nil, err
	}
	for _, m := range items {
		ext, err := identity.ParseExtension(m.Get("Exten"))
		if err != nil || m.Get("Context") != s.config.Context || strings.HasPrefix(string(ext), "_") { // a pattern
			continue
		}
		all[ext] = parseHint(m.Get("Hint"))
	}
	s.keep(all)
	return all, nil
}

// parseHint reads a hint: "PJSIP/200&PJSIP/1200&Custom:DND200,CustomPresence:200".
func parseHint(text string) hint {
	var h hint
	text, _, _ = strings.Cut(text, ",")
	for part := range strings.SplitSeq(text, "&") {
		technology, name, found := strings.Cut(part, "/")
		if found && name != "" && technology != "" && !strings.Contains(technology, ":") {
			h.phones = append(h.phones, part)
		}
	}
	return h
}

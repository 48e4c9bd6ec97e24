package portsipsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/simfault"
)

// MessageFault is a way for messages of the websocket not to arrive as they should.
type MessageFault struct {
	Kind  EventFaultKind // Lost, or Late: until LateMessages lets it go
	Only  string         // the event_type that it meets; "": all
	After int            // how many that it would meet it lets pass first
	Times int            // how many it meets; 0: all, until ClearMessageFaults
}

// watchers are the open websockets.
type watchers struct {
	faults *simfault.Queue[MessageFault]

	mu  sync.Mutex
	all map[*watcher]bool
}

// watcher is one open websocket.
type watcher struct {
	cut  chan struct{} // closed by CutWatches
	wake chan struct{} // holds one value when there may be something to send

	// mu of watchers guards the rest.
	queue  [][]byte
	late   [][]byte
	wants  map[identity.Extension]bool
	signed bool
	serial int
}

func newWatchers() *watchers {
	return &watchers{faults: simfault.New[MessageFault](), all: map[*watcher]bool{}}
}

func (w *watchers) open() *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &watcher{cut: make(chan struct{}), wake: make(chan struct{}, 1), wants: map[identity.Extension]bool{}}
	w.all[one] = true
	return one
}

func (w *watchers) close(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, one)
}

func (w *watchers) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.all)
	for one := range w.all {
		close(one.cut)
	}
	clear(w.all)
	return n
}

// send queues a message for one of them. mu is held.
func (one *watcher) send(message []byte) {
	one.queue = append(one.queue, message)
	select {
	case one.wake <- struct{}{}:
	default:
	}
}

// tell sends an event to one of them, or does with it what is wrong today. mu is held.
func (w *watchers) tell(one *watcher, event map[string]any) {
	fault, _ := w.faults.Take(func(f MessageFault) bool { return f.Only == "" || f.Only == event["event_type"] })
	switch fault.Kind {
	case Lost:
	case Late:
		one.late = append(one.late, jsonOf(event))
	default:
		one.send(jsonOf(event))
	}
}

func (w *watchers) take(one *watcher) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := one.queue
	one.queue = nil
	return queue
}

// CutWatches breaks the websockets of those who watch, without a word, and returns
// how many there were.
func (s *Sim) CutWatches() int { return s.watchers.cut() }

// InjectMessage adds a fault of the websocket.
func (s *Sim) InjectMessage(f MessageFault) { s.watchers.faults.Add(f, f.After, f.Times) }

// ClearMessageFaults ends all faults of the websocket. LateMessages sends what is late.
func (s *Sim) ClearMessageFaults() { s.watchers.faults.Clear() }

// LateMessages sends the messages that were held back, and says how many there were.
func (s *Sim) LateMessages() int {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	n := 0
	for one := range s.watchers.all {
		n += len(one.late)
		for _, message := range one.late {
			one.send(message)
		}
		one.late = nil
	}
	return n
}

// Say sends a message of any kind to all who watch.
func (s *Sim) Say(message string) {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	for one := range s.watchers.all {
		one.send([]byte(message))
	}
}

// Subscribed says for how many extensions somebody watches.
func (s *Sim) Subscribed() int {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	all := map[identity.Extension]bool{}
	for one := range s.watchers.all {
		for ext := range one.wants {
			all[ext] = true
		}
	}
	return len(all)
}

// publish sends an event about an extension to those who want it, and to the webhook.
func (s *Sim) publish(ext identity.Extension, message map[string]any) {
	s.hook.publish(message)
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	for one := range s.watchers.all {
		if one.wants[ext] {
			s.watchers.tell(one, message)
		}
	}
}

// tellPresence publishes what a user shows. state is held.
func (s *Sim) tellPresence(u *user) {
	s.publish(u.number, map[string]any{"event_type": "extension_presence", "extension": s.world.uri(u.number), "extension_id": u.id,
		"presence": s.world.spelled(u.presence), "presence_note": u.note, "tenant_id": "MQ", "time": now()})
}

// tellCall publishes whether a user is in a call. state is held.
func (s *Sim) tellCall(u *user) {
	s.publish(u.number, map[string]any{"event_type": "extension_call", "extension": s.world.uri(u.number), "extension_id": u.id,
		"call_status": u.callStatus(), "tenant_id": "MQ", "time": now()})
}

func (u *user) callStatus() string {
	switch {
	case u.calls > 0:
		return "ON_CALL"
	case u.ringing:
		return "RINGING"
	}
	return ""
}

func now() string { return strconv.FormatInt(time.Now().Unix(), 10) }

// watch is one websocket, from the upgrade to its end.
func (s *Sim) watch(w http.ResponseWriter, r request) {
	one := s.watchers.open()
	defer s.watchers.close(one)
	conn, err := websocket.Accept(w, r.Request, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := r.Context()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			s.command(one, data)
		}
	}()
	defer func() { _ = conn.CloseNow(); <-ended }()
	for {
		select {
		case <-one.wake:
			for _, message := range s.watchers.take(one) {
				if conn.Write(ctx, websocket.MessageText, message) != nil {
					return
				}
			}
		case <-one.cut:
			return
		case <-ended:
			return
		}
	}
}

// command carries out what a client says.
func (s *Sim) command(one *watcher, data []byte) {
	var order struct {
		Command, Username, Password, Domain string
		ExtensionNumber                     string `json:"extension_number"`
		Topics                              []string
		Extensions                          []identity.Extension
	}
	if json.Unmarshal(data, &order) != nil {
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	one.serial++
	reply := map[string]any{"command": order.Command, "id": strconv.Itoa(one.serial), "status": 0}
	fail := func(why string) {
		reply["status"], reply["error"] = -1, why
		one.send(jsonOf(reply))
	}
	switch order.Command {
	case "auth":
		who, ok := s.account(order.Username, order.Password, order.Domain)
		if !ok || who != nil {
			fail("access_token , username , domain or password error")
			return
		}
		one.signed = true
		one.send(jsonOf(reply))
	case "subscribe":
		if !one.signed || len(order.Topics) != 1 || order.Topics[0] != "extension_events" || len(order.Extensions) == 0 {
			fail("permission denied")
			return
		}
		if !s.config.NoAck {
			one.send(jsonOf(reply))
		}
		s.snapshot(one, order.Extensions)
	default:
		fail("unknown command")
	}
}

// snapshot subscribes and tells what is the case. Both locks are held.
func (s *Sim) snapshot(one *watcher, exts []identity.Extension) {
	rows := []any{}
	for _, ext := range exts {
		u := s.world.byNumber(ext)
		if u == nil {
			continue
		}
		one.wants[ext] = true
		call := u.callStatus()
		if call == "ON_CALL" && s.config.Minor == 3 {
			call = "ON_ACLL" // as the documentation of that version has it
		}
		rows = append(rows, map[string]any{"extension": s.world.uri(ext), "extension_id": u.id, "call_status": call, "online": !u.offline,
			"push_online": false, "presence": s.world.spelled(u.presence), "presence_note": u.note, "time": now()})
	}
	s.watchers.tell(one, map[string]any{"event_type": "extension_status", "status": rows, "tenant_id": "MQ"})
}

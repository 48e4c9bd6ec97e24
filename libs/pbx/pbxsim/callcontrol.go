package pbxsim

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"sync"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/identity"
)

// The second face of 3CX: its Call Control API. It shows calls as participants of
// extensions, and its websocket says which of them changed, but not how.

// Access says whether the client may use Call Control, or read the description.
type Access string

// What a client without it meets.
const (
	Granted   Access = ""
	Forbidden Access = "forbidden" // 403: the right or the licence is missing
	Missing   Access = "missing"   // 404: a version or edition that has no such thing
)

// callControl is where it lives.
const callControl = "/callcontrol"

var (
	dnPath = regexp.MustCompile(`^/callcontrol/([^/]+)$`)
	ofDN   = regexp.MustCompile(`^/callcontrol/([^/]+)/(participants|devices)$`)
	oneOf  = regexp.MustCompile(`^/callcontrol/([^/]+)/participants/(\d{1,9})$`)
)

func participantPath(l leg) string {
	return callControl + "/" + string(l.ext) + "/participants/" + strconv.Itoa(int(l.id))
}

// watches says whether a request asks for the websocket.
func (r request) watches() bool { return r.URL.Path == callControl+"/ws" }

// callControl answers a request to the second face.
func (s *Sim) callControl(w http.ResponseWriter, r request) {
	path := r.URL.Path
	switch {
	case s.config.CallControl == Missing:
		http.NotFound(w, r.Request)
		return
	case !s.tokens.valid(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	case s.config.CallControl == Forbidden:
		refuse(w, http.StatusForbidden, "Forbidden", "The client has no access to Call Control.")
		return
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The simulator's calls are made from behind.")
		return
	case r.watches():
		s.serveWatch(w, r)
		return
	case path == callControl:
		writeJSON(w, http.StatusOK, s.entities())
		return
	}
	var match []string
	for _, pattern := range []*regexp.Regexp{dnPath, ofDN, oneOf} {
		if match = pattern.FindStringSubmatch(path); match != nil {
			break
		}
	}
	if match == nil {
		refuse(w, http.StatusNotFound, "NotFound", "No such resource: "+path)
		return
	}
	answer, status := s.entityAt(identity.Extension(match[1]), match[2:])
	if status != http.StatusOK {
		refuse(w, status, http.StatusText(status), "There is nothing to see at "+path)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// participant is a leg as the face describes it.
type participant struct {
	ID            int32  `json:"id"`
	Status        string `json:"status"`
	DN            string `json:"dn"`
	PartyName     string `json:"party_caller_name"`
	PartyDN       string `json:"party_dn"`
	PartyID       string `json:"party_caller_id"`
	PartyDID      string `json:"party_did"`
	DeviceID      string `json:"device_id"`
	PartyDNType   string `json:"party_dn_type"`
	DirectControl bool   `json:"direct_control"`
	CallID        int    `json:"callid"`
	LegID         int32  `json:"legid"`
}

// dnEntity is an extension as the face describes it.
type dnEntity struct {
	DN           string        `json:"dn"`
	Type         string        `json:"type"`
	Devices      []any         `json:"devices"`
	Participants []participant `json:"participants"`
}

// entities is everything that the client may see.
func (s *Sim) entities() []dnEntity {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	byDN := s.world.participants()
	all := make([]dnEntity, 0, len(s.world.extensions))
	for _, e := range s.world.extensions {
		if s.world.monitored(e.Number) {
			all = append(all, entityOf(e.Number, byDN))
		}
	}
	return all
}

// entityAt is one extension, its participants or devices, or one participant.
func (s *Sim) entityAt(ext identity.Extension, rest []string) (any, int) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if s.world.byNumber[ext] == nil {
		return nil, http.StatusNotFound
	}
	if !s.world.monitored(ext) {
		return nil, http.StatusForbidden
	}
	entity := entityOf(ext, s.world.participants())
	switch {
	case len(rest) == 0:
		return entity, http.StatusOK
	case rest[0] == "participants":
		return entity.Participants, http.StatusOK
	case rest[0] == "devices":
		return entity.Devices, http.StatusOK
	}
	for _, p := range entity.Participants {
		if strconv.Itoa(int(p.ID)) == rest[0] {
			return p, http.StatusOK
		}
	}
	return nil, http.StatusNotFound
}

func entityOf(ext identity.Extension, byDN map[identity.Extension][]participant) dnEntity {
	e := dnEntity{DN: string(ext), Type: "Wextension", Devices: []any{}, Participants: byDN[ext]}
	if e.Participants == nil {
		e.Participants = []participant{}
	}
	return e
}

// participants describes all legs of all calls. mu is held.
func (w *world) participants() map[identity.Extension][]participant {
	byDN := make(map[identity.Extension][]participant)
	for _, c := range w.calls {
		for i, l := range c.legs {
			p := participant{ID: l.id, Status: "Connected", DN: string(l.ext), PartyID: l.party, PartyDNType: "Wexternalline", CallID: c.ID, LegID: l.id}
			if c.State == Ringing {
				p.Status = [...]string{"Dialing", "Ringing"}[min(i, 1)]
			}
			if other := w.byNumber[identity.Extension(l.party)]; other != nil {
				p.PartyDN, p.PartyDNType, p.PartyName = l.party, "Wextension", other.DisplayName
			}
			byDN[l.ext] = append(byDN[l.ext], p)
		}
	}
	return byDN
}

// eventKind is the face's event_type.
type eventKind int

const (
	upset  eventKind = 0 // made or changed
	remove eventKind = 1
)

// watchers are the open websockets.
type watchers struct {
	faults *faults

	mu   sync.Mutex
	all  map[*watcher]bool
	shut bool // the phone system is down
	// made counts them: each numbers its messages from somewhere else.
	made int
}

// watcher is one open websocket.
type watcher struct {
	cut  chan struct{} // closed by CutWatches
	wake chan struct{} // holds one value when there may be something to send

	// mu of watchers guards the rest.
	sequence int
	queue    []string
	late     string // sent after the next message
}

func newWatchers(f *faults) *watchers { return &watchers{faults: f, all: make(map[*watcher]bool)} }

// open adds a watcher; nil if the phone system is going down.
func (w *watchers) open() *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return nil
	}
	w.made++
	one := &watcher{cut: make(chan struct{}), wake: make(chan struct{}, 1), sequence: 1000 * w.made}
	w.all[one] = true
	return one
}

func (w *watchers) close(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, one)
}

// cut breaks all of them and returns how many there were. down lets in no more until
// it is called again.
func (w *watchers) cut(down bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.all)
	w.shut = down
	for one := range w.all {
		close(one.cut)
	}
	clear(w.all)
	return n
}

func (w *watchers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// tell queues an event for everybody, or does what is wrong with events today.
func (w *watchers) tell(kind eventKind, entity string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.all {
		one.sequence++
		text, _ := json.Marshal(map[string]any{"sequence": one.sequence,
			"event": map[string]any{"event_type": kind, "entity": entity, "attached_data": nil}})
		message, late := string(text), one.late
		one.late = ""
		switch w.faults.pickEvent() {
		case EventLost:
		case EventTwice:
			one.queue = append(one.queue, message, message)
		case EventLate:
			one.late = message
		case EventGarbled:
			one.queue = append(one.queue, message[:len(message)/2])
		default:
			one.queue = append(one.queue, message)
		}
		if late != "" {
			one.queue = append(one.queue, late)
		}
		select {
		case one.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what is to be sent.
func (w *watchers) take(one *watcher) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := one.queue
	one.queue = nil
	return queue
}

// CutWatches breaks the websockets of those who watch, without a word, and returns
// how many there were.
func (s *Sim) CutWatches() int { return s.world.watchers.cut(false) }

// Watches is how many websockets are open.
func (s *Sim) Watches() int { return s.world.watchers.count() }

// Mute lets open websockets live on without a word, not even a pong, or ends that.
func (s *Sim) Mute(on bool) { s.muted.Store(on) }

// serveWatch is one websocket, from the upgrade to its end.
func (s *Sim) serveWatch(w http.ResponseWriter, r request) {
	one := s.world.watchers.open() // before the client can know, so that it misses nothing
	if one == nil {
		panic(http.ErrAbortHandler)
	}
	defer s.world.watchers.close(one)
	conn, err := websocket.Accept(w, r.Request, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return !s.muted.Load() },
	})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := conn.CloseRead(r.Context()) // clients have nothing to say here
	for {
		select {
		case <-one.wake:
			for _, message := range s.world.watchers.take(one) {
				if s.muted.Load() {
					continue
				}
				if conn.Write(ctx, websocket.MessageText, []byte(message)) != nil {
					return
				}
			}
		case <-one.cut:
			return
		case <-ctx.Done():
			return
		}
	}
}

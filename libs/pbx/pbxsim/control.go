package pbxsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Control serves the back door over HTTP, for a loopback listener of the
// simulator's. All paths start with /sim/v1/systems/{the system's id}:
//
//	GET    /extensions                    what every extension shows, since when, by whom, and whose it is
//	PATCH  /extensions/{number}           {"mobile": "1", "enabled": false}: an administrator edits
//	DELETE /extensions/{number}           an administrator deletes
//	PUT    /extensions/{number}/status    {"status": "dnd"}: a person chooses
//	GET    /writes                        the ledger of statuses
//	GET    /changes                       the ledger of extensions, departments and properties
//	GET    /books                         the company's phonebook
//	GET    /books/{number}                an extension's
//	PUT    /licence                       {"extensions": 50}: how many there may be; 0 is any number
//	PUT    /native-sync                   {"users": true}: what it synchronises with Microsoft 365 itself
//	GET    /stats                         the counts
//	GET    /faults                        those still to come
//	POST   /faults                        {"kind": "throttle", "delay": "7s", "times": 3, "only": "write"}
//	DELETE /faults                        no more faults
//	GET    /calls                         those that ring or are connected
//	POST   /calls                         {"from": "204", "to": "205"}: a call, answered at once; to may be a number
//	                                      outside or missing; "ringing": true: not answered yet
//	POST   /calls/{id}/answer             a call that rings is connected
//	DELETE /extensions/{number}/calls     an extension hangs up
//	POST   /cut                           websockets break
//	POST   /down                          {"for": "5s"}: unreachable for a while
//	POST   /restart                       {"forget": 2}: tokens and the last two writes are gone
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, serve func(r *http.Request) (any, error)) {
		mux.HandleFunc(method+" /sim/v1/systems/"+string(s.config.System)+path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := serve(r)
			if err != nil {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
				return
			}
			writeJSON(w, http.StatusOK, answer)
		})
	}
	handle("GET", "/extensions", func(*http.Request) (any, error) { return s.Truth(), nil })
	handle("GET", "/writes", func(*http.Request) (any, error) { return s.Writes(), nil })
	handle("GET", "/stats", func(*http.Request) (any, error) { return s.Stats(), nil })
	handle("GET", "/faults", func(*http.Request) (any, error) { return s.Faults(), nil })
	handle("PUT", "/extensions/{number}/status", s.controlStatus)
	s.controlPeople(handle)
	handle("POST", "/faults", func(r *http.Request) (any, error) {
		var f Fault
		if err := decode(r, &f); err != nil {
			return nil, err
		}
		s.Inject(f)
		return s.Faults(), nil
	})
	handle("GET", "/calls", func(*http.Request) (any, error) { return s.Calls(), nil })
	handle("POST", "/calls", s.controlCall)
	handle("POST", "/calls/{id}/answer", func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || !s.Answer(id) {
			return nil, fmt.Errorf("there is no call %q", r.PathValue("id"))
		}
		return s.Calls(), nil
	})
	handle("DELETE", "/extensions/{number}/calls", func(r *http.Request) (any, error) {
		number := identity.Extension(r.PathValue("number"))
		if s.EndCalls(number) == 0 {
			return nil, fmt.Errorf("extension %q is in no call", number)
		}
		return s.Calls(), nil
	})
	handle("POST", "/cut", func(*http.Request) (any, error) {
		return map[string]int{"watches": s.CutWatches()}, nil
	})
	handle("DELETE", "/faults", func(*http.Request) (any, error) {
		s.ClearFaults()
		return s.Faults(), nil
	})
	handle("POST", "/down", func(r *http.Request) (any, error) {
		var order struct{ For string }
		if err := decode(r, &order); err != nil {
			return nil, err
		}
		d, err := time.ParseDuration(order.For)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("for %q is not a duration like \"5s\"", order.For)
		}
		s.DownFor(d)
		return s.Stats(), nil
	})
	handle("POST", "/restart", func(r *http.Request) (any, error) {
		var order struct{ Forget int }
		if err := decode(r, &order); err != nil {
			return nil, err
		}
		return s.Stats(), s.Restart(order.Forget)
	})
	return mux
}

func (s *Sim) controlCall(r *http.Request) (any, error) {
	var order struct {
		From    identity.Extension
		To      string
		Ringing bool
	}
	if err := decode(r, &order); err != nil {
		return nil, err
	}
	if order.Ringing {
		return s.Ring(order.From, order.To)
	}
	return s.StartCall(order.From, order.To)
}

func (s *Sim) controlStatus(r *http.Request) (any, error) {
	var order struct{ Status presence.Status }
	if err := decode(r, &order); err != nil {
		return nil, err
	}
	number := identity.Extension(r.PathValue("number"))
	if order.Status == presence.Unset {
		return nil, fmt.Errorf("status is missing")
	}
	if !s.SetStatus(number, order.Status) {
		return nil, fmt.Errorf("there is no extension %q", number)
	}
	shown, _ := s.Shown(number)
	return shown, nil
}

func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, bodyLimit))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

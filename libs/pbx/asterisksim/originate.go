package asterisksim

import (
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// dialContext is the context in which phones dial, as FreePBX names it. It takes any
// number but one that begins with 99, which leads nowhere.
const dialContext = "from-internal"

const nowhere = "99"

// Dialled is a call that was ordered.
type Dialled struct {
	Phone    string             // that rings, as "PJSIP/200"
	CallerID identity.Extension // whose call it is
	Number   string             // that is called when somebody picks up
}

// originate takes the order for a call. The phone rings, and nobody picks up until a test
// does.
func originate(s *Sim, m request) string {
	phone, number := m.get("Channel"), m.get("Exten")
	kind, name, _ := strings.Cut(phone, "/")
	priority, err := strconv.Atoi(m.get("Priority"))
	switch {
	case phone == "":
		return failed(m, "Channel not specified")
	case err != nil || priority < 1:
		return failed(m, "Invalid priority")
	case kind == "" || name == "":
		return failed(m, "Invalid channel")
	case number == "" || m.get("Context") == "":
		return failed(m, "Originate with 'Exten' requires 'Context' and 'Priority'")
	case m.get("Context") != dialContext || strings.HasPrefix(number, nowhere):
		return failed(m, "Extension does not exist.")
	case m.get("Async") != "true":
		return failed(m, "The simulator does not wait for somebody to pick up.")
	}
	s.state.Lock()
	_, there := s.world.devices[phone]
	if there {
		s.world.dialled = append(s.world.dialled, Dialled{phone, identity.Extension(m.get("CallerID")), number})
	}
	s.state.Unlock()
	if there { // what becomes of the call is not told with the order
		s.setDevice(phone, "RINGING")
	}
	return response(m, "Success", "Message: Originate successfully queued")
}

// Originated are the calls that were ordered, oldest first.
func (s *Sim) Originated() []Dialled {
	s.state.Lock()
	defer s.state.Unlock()
	return slices.Clone(s.world.dialled)
}

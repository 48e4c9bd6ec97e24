package graphsim

import "time"

// EndpointState is how the service treats an endpoint.
type EndpointState string

// The states of learn.microsoft.com/graph/change-notifications-delivery-webhooks.
const (
	StateWell EndpointState = "well"
	StateSlow EndpointState = "slow" // more than 10 % of answers over the first allowance: new notifications are delayed
	StateDrop EndpointState = "drop" // more than 15 % over the allowance of retries: new notifications are lost
)

const (
	slowShare = 0.10
	dropShare = 0.15
	// fewestAnswers is how many answers it takes to judge by shares. Not documented;
	// without it the first slow answer of a new host would be 100 %.
	fewestAnswers = 10
)

// health judges an endpoint over a sliding window.
type health struct {
	window     time.Duration
	answers    []timing // of the window, oldest first
	slow, lost int      // how many of them
	now        EndpointState
	until      time.Time // when now, if not "", ends and the host is tried again
}

type timing struct {
	at         time.Time
	slow, lost bool // over the first allowance; over that of retries
}

// add records an answer, or that there was none in time.
func (h *health) add(t timing) {
	h.count(t, 1)
	h.answers = append(h.answers, t)
	for t.at.Sub(h.answers[0].at) > h.window {
		h.count(h.answers[0], -1)
		h.answers = h.answers[1:]
	}
	if h.state(t.at) == StateDrop || len(h.answers) < fewestAnswers {
		return
	}
	total := float64(len(h.answers))
	switch {
	case float64(h.lost)/total > dropShare:
		h.now, h.until = StateDrop, t.at.Add(h.window)
	case float64(h.slow)/total > slowShare && h.now != StateSlow:
		h.now, h.until = StateSlow, t.at.Add(h.window)
	}
}

func (h *health) count(t timing, by int) {
	if t.slow {
		h.slow += by
	}
	if t.lost {
		h.lost += by
	}
}

// state returns the state at a time. When one has lasted a window the host starts
// afresh: that is the probe.
func (h *health) state(now time.Time) EndpointState {
	if h.now != "" && !now.Before(h.until) {
		*h = health{window: h.window}
	}
	if h.now == "" {
		return StateWell
	}
	return h.now
}

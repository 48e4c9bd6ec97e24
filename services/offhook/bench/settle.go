package bench

import (
	"fmt"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/wire"
)

// posted is one change that was posted and accepted.
type posted struct {
	at     time.Time // when it was made, just before the POST
	status presence.Status
}

// fate says what became of changes. Every change is one of applied, overtaken and
// lost.
type fate struct {
	applied sample // from the change to the phone system
	// hops are the parts of applied, as the services' own clocks tell them.
	hops [len(hopNames)]sample
	// overtaken changes were not written because a newer one of the same user was:
	// newest wins.
	overtaken int
	// lost changes were the newest of their user, and the extension does not show them.
	lost int
	// unasked writes answer to no change, or to one that has been answered.
	unasked int
}

// hopNames are the hops of a change.
var hopNames = [...]string{"change to stored", "stored to decided", "decided to writer", "writer to phone system"}

// hopTimes writes how long each hop took.
func (f fate) hopTimes() string {
	var parts []string
	for i, name := range hopNames {
		parts = append(parts, fmt.Sprintf("%s %s/%s", name, short(f.hops[i].at(0.5)), short(f.hops[i].at(0.99))))
	}
	return strings.Join(parts, ", ")
}

// String lists the counts.
func (f fate) String() string {
	return fmt.Sprintf("applied %d, overtaken by a newer one %d, lost %d, writes without a change %d", len(f.applied), f.overtaken, f.lost, f.unasked)
}

// follow finds out what became of the changes of each extension, which are in order.
// That something was written, and when, is the phone system's word; which change a
// write belongs to is told by the writer's outcome of the same write: the newest at
// the time at which the change was seen, however long ago that was. Writes and
// outcomes are matched from their ends and not by their times, because services
// estimate the broker's clock, and are some milliseconds off.
func follow(changes map[identity.Extension][]posted, writes []pbxsim.Write, outcomes []wire.Outcome, decided map[string]time.Time, shows map[identity.Extension]presence.Status) fate {
	written := map[identity.Extension][]pbxsim.Write{}
	for _, w := range writes {
		written[w.Extension] = append(written[w.Extension], w)
	}
	told := map[identity.Extension][]wire.Outcome{}
	for _, o := range outcomes {
		if o.Result == wire.Applied {
			told[o.Line.Extension] = append(told[o.Line.Extension], o)
		}
	}
	var f fate
	for ext, writes := range written {
		outcomes, answered := told[ext], 0
		for i, w := range writes {
			n := -1
			var o wire.Outcome
			if from := len(outcomes) - len(writes) + i; from >= 0 {
				o = outcomes[from]
				n = seen(changes[ext], w.Status, o.SeenAt)
			}
			if n < answered {
				f.unasked++
				continue
			}
			f.applied = append(f.applied, w.At.Sub(changes[ext][n].at))
			at := decided[o.Decision]
			for hop, took := range [...]time.Duration{o.SeenAt.Sub(changes[ext][n].at), at.Sub(o.SeenAt), o.ReceivedAt.Sub(at), w.At.Sub(o.ReceivedAt)} {
				f.hops[hop] = append(f.hops[hop], took)
			}
			f.overtaken += n - answered
			answered = n + 1
		}
		changes[ext] = changes[ext][answered:]
	}
	for ext, rest := range changes {
		f.overtaken += len(rest)
		if len(rest) > 0 && shows[ext] != rest[len(rest)-1].status {
			f.lost++
			f.overtaken--
		}
	}
	f.applied.sorted()
	for _, hop := range f.hops {
		hop.sorted()
	}
	return f
}

// seen returns the index of the newest change to a status that had been made by
// then, or -1.
func seen(list []posted, status presence.Status, by time.Time) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].status == status && !list[i].at.After(by) {
			return i
		}
	}
	return -1
}

package portsip

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// toldByEvents is a configuration whose watches have a beat so rare that only events tell.
func toldByEvents(t *testing.T, sim *portsipsim.Sim, to portsipsim.Webhook) Config {
	config := quickly(sim, "")
	config.Events, config.Webhook, config.Beat = ByWebhook, hookFor(t, sim, to), time.Hour
	return config
}

// toldByBeats is one whose watches have a quick beat.
func toldByBeats(t *testing.T, sim *portsipsim.Sim) Config {
	config := toldByEvents(t, sim, byToken)
	config.Beat = 50 * time.Millisecond
	return config
}

func TestEventsArriveByWebhook(t *testing.T) {
	asked, encrypted := byPassword, byToken
	asked.Challenged, encrypted.Authorities = true, authority.Pool()
	for name, to := range map[string]portsipsim.Webhook{
		"with a token": byToken, "with a password": byPassword, "with a password when it is asked for": asked, "over TLS": encrypted,
	} {
		for _, minor := range []int{2, 3} {
			t.Run(name, func(t *testing.T) {
				sim := start(t, portsipsim.Config{Extensions: 4, Minor: minor, FilterDND: true})
				sim.StartCall("203")
				sim.Ring("202")
				w := watch(t, open(t, toldByEvents(t, sim, to)))
				if len(w.told().calls) != 1 || w.told().calls["203"] != 1 {
					t.Errorf("in calls are %v", w.told().calls)
				}
				sim.Ring("200")
				sim.StartCall("200")
				w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
				sim.EndCalls("200")
				sim.EndCalls("203")
				w.until(t, "of their ends", func(is tale) bool { return is.calls["200"] == 0 && is.calls["203"] == 0 })
				sim.Switch("201", true)
				w.until(t, "do not disturb", func(is tale) bool { return is.statuses["201"] == presence.DND })
				if w.told().events != 4 {
					t.Errorf("%d events about calls", w.told().events)
				}
			})
		}
	}
}

// Whatever becomes of the events about one extension, what is told of it in the end is what
// is so.
func TestEventsMayComeInAnyWay(t *testing.T) {
	for _, kind := range []portsipsim.EventFaultKind{portsipsim.Twice, portsipsim.Reordered, portsipsim.Late, portsipsim.WrongCredential} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true, Retries: soon})
			w := watch(t, open(t, toldByEvents(t, sim, byToken)))
			sim.StartCall("200")
			w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
			sim.EndCalls("200")
			w.until(t, "of its end", func(is tale) bool { return is.calls["200"] == 0 })
			sim.InjectEvent(portsipsim.EventFault{Kind: kind, Times: 1})
			sim.StartCall("200")
			sim.EndCalls("200") // both before anybody is told of the first
			sim.LateEvents()    // the beginning comes after the end
			accepted := 5       // with the first call, and the end of the second
			if kind == portsipsim.Twice {
				accepted++
			}
			w.until(t, "anything yet", func(tale) bool { return sim.EventStats().Accepted >= accepted-1 })
			sim.StartCall("201")
			w.until(t, "of another call", func(is tale) bool { return is.calls["201"] == 1 && sim.EventStats().Accepted >= accepted })
			sim.Switch("202", true)
			w.until(t, "what came last", func(is tale) bool { return is.statuses["202"] == presence.DND })
			if w.told().calls["200"] != 0 {
				t.Errorf("a call that is over was told: %v", w.told().calls)
			}
		})
	}
}

// An answer that does not agree with an event may have been too early, so that the user is
// asked once more, but only once: the event may have been late.
func TestAnAnswerThatAnEventContradictsIsReadOnceMore(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2, FilterDND: true})
	config := toldByEvents(t, sim, byToken)
	config.Settle = time.Millisecond
	w := watch(t, open(t, config))
	for _, c := range []struct {
		status   string
		requests int
	}{{"ON_CALL", 2}, {"", 1}, {"RINGING", 1}, {"On Call", 2}} {
		before := sim.Stats().Requests
		sim.SendEvent(`{"event_type":"extension_call","extension":"sip:200@x","call_status":"` + c.status + `","time":"1703690276"}`)
		w.until(t, "anything", func(tale) bool { return sim.Stats().Requests >= before+c.requests })
		sim.StartCall("201")
		w.until(t, "of a call", func(is tale) bool { return is.calls["201"] == 1 })
		sim.EndCalls("201")
		w.until(t, "of its end", func(is tale) bool { return is.calls["201"] == 0 })
		// One request for each event of 201, and at most one more for each: the answer may be
		// of after the next event.
		if n := sim.Stats().Requests - before - c.requests; n < 2 || n > 4 {
			t.Errorf("%q: %d requests beside the %d", c.status, n, c.requests)
		}
		if w.told().calls["200"] != 0 {
			t.Errorf("%q: a call was told that there is not", c.status)
		}
	}
}

func TestALostEventIsMendedByTheBeat(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2*portion + 30, FilterDND: true})
	w := watch(t, open(t, toldByBeats(t, sim)))
	sim.StartCall("200")
	w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
	sim.InjectEvent(portsipsim.EventFault{Kind: portsipsim.Lost})
	sim.EndCalls("200")
	sim.StartCall("429") // the last one to be asked
	sim.Switch("300", true)
	w.until(t, "the end of the call", func(is tale) bool { return is.calls["200"] == 0 })
	w.until(t, "the status", func(is tale) bool { return is.statuses["300"] == presence.DND })
	w.until(t, "the beginning of the call", func(is tale) bool { return is.calls["429"] == 1 })
	sim.Remove("429")
	w.until(t, "that it is gone", func(is tale) bool { return is.calls["429"] == 0 })
	admin := open(t, configFor(sim))
	if err := admin.CreateExtension(t.Context(), directoryExtension("600")); err != nil {
		t.Fatal(err)
	}
	sim.StartCall("600")
	w.until(t, "of who is new", func(is tale) bool { return is.calls["600"] == 1 })
}

// Whoever is in a call is asked with every beat, however many others there are.
func TestTheLostEndOfACallIsSeenWithTheNextBeat(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 7 * portion, FilterDND: true})
	w := watch(t, open(t, toldByBeats(t, sim)))
	sim.StartCall("899")
	w.until(t, "of the call", func(is tale) bool { return is.calls["899"] == 1 })
	sim.InjectEvent(portsipsim.EventFault{Kind: portsipsim.Lost})
	sim.EndCalls("899")
	said := w.told().syncs
	w.until(t, "of its end", func(is tale) bool { return is.calls["899"] == 0 })
	if after := w.told().after["899"]; after > said+1 {
		t.Errorf("it was told with beat %d, and the call was over before beat %d", after+1, said+1)
	}
}

// After an event that could not be read nobody knows what was missed: more are asked.
func TestAfterWhatCannotBeReadManyAreAsked(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 7 * portion, FilterDND: true})
	w := watch(t, open(t, toldByBeats(t, sim)))
	sim.InjectEvent(portsipsim.EventFault{Kind: portsipsim.GarbageEvent, Times: 1})
	sim.StartCall("899") // seven beats away
	w.until(t, "anything yet", func(tale) bool { return sim.EventStats().Accepted == 1 })
	said := w.told().syncs
	w.until(t, "of the call", func(is tale) bool { return is.calls["899"] == 1 })
	if after := w.told().after["899"]; after > said+1 {
		t.Errorf("it was told with beat %d, and something was missed before beat %d", after, said+1)
	}
}

// What the tenant tells of its settings is believed where it is certain to be wrong.
func TestATenantThatSendsNoEventsIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*portsipsim.Webhook)
		says   string // "": it is watched
	}{
		"as configured":          {func(*portsipsim.Webhook) {}, ""},
		"switched off":           {func(to *portsipsim.Webhook) { to.Disabled = true }, "switched off"},
		"without authentication": {func(to *portsipsim.Webhook) { to.Auth = "DISABLE" }, "DISABLE, and options.webhook expects BEARER"},
		"with a password":        {func(to *portsipsim.Webhook) { to.Auth = "BASIC" }, "BASIC, and options.webhook expects BEARER"},
		"in a word nobody knows": {func(to *portsipsim.Webhook) { to.Auth = "MUTUAL_TLS" }, ""},
		"not told":               {func(to *portsipsim.Webhook) { to.Disabled, to.Untold = true, true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 1, FilterDND: true})
			to := byToken
			c.change(&to)
			config := toldByBeats(t, sim)
			config.Webhook = hookFor(t, sim, to)
			config.Webhook.Username, config.Webhook.Secret = "", byToken.Token
			d := open(t, config)
			if c.says == "" {
				watch(t, d)
				return
			}
			err := d.Watch(t.Context(), func(pbx.WatchEvent) { t.Error("something was told") })
			if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "Event URL") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("not allowed to read", func(t *testing.T) {
		sim := start(t, portsipsim.Config{Extensions: 1, FilterDND: true})
		d := open(t, toldByEvents(t, sim, byToken))
		sim.Inject(portsipsim.Fault{Kind: portsipsim.Deny, Only: "read", Times: 1})
		watch(t, d)
	})
	t.Run("switched off meanwhile, by itself", func(t *testing.T) {
		sim := start(t, portsipsim.Config{Extensions: 1, FilterDND: true})
		w := watch(t, open(t, toldByBeats(t, sim)))
		sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: "http://127.0.0.1:1", Auth: "BEARER", Disabled: true})
		w.ends(t, fault.Denied)
	})
}

func TestWhileAnotherProcessListensEverythingIsReadAllTheSame(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2, FilterDND: true})
	config := toldByBeats(t, sim)
	watch(t, open(t, config))
	config.Webhook.Elsewhere = true
	config.Webhook.OnListening = func(string) { t.Error("it listens") }
	w := watch(t, open(t, config))
	sim.StartCall("200")
	w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
}

func TestAPhoneSystemThatFailsEndsAWatchByWebhook(t *testing.T) {
	for kind, want := range map[portsipsim.FaultKind]fault.Kind{portsipsim.Unavailable: fault.Unavailable, portsipsim.Throttle: fault.Throttled,
		portsipsim.Broken: fault.Unavailable, portsipsim.Garbage: fault.Unavailable, portsipsim.Truncated: fault.Unavailable, portsipsim.Huge: fault.Unavailable} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 2, FilterDND: true})
			w := watch(t, open(t, toldByEvents(t, sim, byToken)))
			sim.Inject(portsipsim.Fault{Kind: kind, Only: "read", Times: 1, Delay: time.Second})
			sim.StartCall("200")
			w.ends(t, want)
		})
	}
}

func TestAWatchByWebhookBehindASystemComesBack(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true, Retries: soon})
	w := watchBehind(t, open(t, toldByBeats(t, sim)))
	sim.StartCall("200")
	w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
	if err := sim.Restart(); err != nil {
		t.Fatal(err)
	}
	sim.StartCall("201")
	w.until(t, "what is so after a restart", func(is tale) bool { return is.calls["200"] == 0 && is.calls["201"] == 1 })
}

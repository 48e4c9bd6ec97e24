package doctor_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

// other is a driver whose phone system tells nobody of changes, and is of another version.
type other struct {
	pbx.Driver
	version string
	deaf    error // of its watch; nil: it works
}

func (o other) Capabilities() pbx.Capabilities {
	c := o.Driver.Capabilities()
	if o.version != "" {
		c.Version = o.version
	}
	return c
}

func (o other) Watch(ctx context.Context, sink pbx.Sink) error {
	if o.deaf != nil {
		return o.deaf
	}
	return o.Driver.(pbx.Watcher).Watch(ctx, sink)
}

// seenAs is what the doctor says of a patient that is different.
func seenAs(t *testing.T, p *patient, mode presence.Mode, o other) []doctor.Check {
	t.Helper()
	tenant := config.DefaultTenant()
	tenant.ID, tenant.Presence.Mode = "contoso", string(mode)
	checks := doctor.Run(t.Context(), config.Config{Tenants: []config.Tenant{tenant}, Systems: []config.System{p.entry}},
		doctor.Options{Now: time.Now(), OpenSystem: func(ctx context.Context, s config.System) (pbx.Driver, error) {
			var err error
			o.Driver, err = writer.OpenDriver(ctx, s)
			return o, err
		}})
	return slices.DeleteFunc(checks, func(c doctor.Check) bool { return !strings.HasPrefix(c.Code, "OH-PBX") })
}

func TestWhoMayNotBeToldOfChangesIsToldWhichRightIsMissing(t *testing.T) {
	refused := fault.Errorf(fault.Denied, "watch", "permission denied")
	for driver, right := range map[string]string{"portsip": "WSI", "freeswitch": "esl-allowed-events"} {
		for mode, level := range map[presence.Mode]string{presence.Both: "problem", presence.TeamsToPBX: "warning"} {
			p := hospital[driver](t, settings{authority: newAuthority(t, time.Now())})
			says(t, seenAs(t, p, mode, other{deaf: refused}), want{"OH-PBX-008", level, "permission denied", right}, "OH-PBX-002")
			says(t, seenAs(t, p, mode, other{}), want{"OH-PBX-008", "ok", "", ""}, "OH-PBX-002")
		}
	}
}

// With a webhook the doctor, who does not listen, knows what the tenant says of its events,
// and does not say that they arrive.
func TestOfAPortSIPWithAWebhookItIsSaidWhetherItSendsEvents(t *testing.T) {
	for claim, c := range map[string]struct {
		to   portsipsim.Webhook
		want want
	}{
		"nothing is set in the portal":   {portsipsim.Webhook{}, want{"OH-PBX-008", "problem", "switched off", "Event URL"}},
		"it is switched off":             {portsipsim.Webhook{URL: "http://192.0.2.1", Auth: "BEARER", Disabled: true}, want{"OH-PBX-008", "problem", "switched off", "Event URL"}},
		"it is sent without a token":     {portsipsim.Webhook{URL: "http://192.0.2.1", Auth: "DISABLE"}, want{"OH-PBX-008", "problem", "expects BEARER", "authentication"}},
		"it is as the configuration has": {portsipsim.Webhook{URL: "http://127.0.0.1:1", Auth: "BEARER"}, want{"OH-PBX-008", "ok", "", ""}},
	} {
		t.Run(claim, func(t *testing.T) {
			a := newAuthority(t, time.Now())
			sim, err := portsipsim.Start(portsipsim.Config{Authority: a, Extensions: 3})
			must(t, err)
			t.Cleanup(sim.Close)
			sim.SetWebhook(t.Context(), c.to)
			id, password, domain := sim.Credentials()
			taken, err := net.Listen("tcp", "127.0.0.1:0") // by the service, beside which the doctor runs
			must(t, err)
			defer taken.Close()
			p := &patient{entry: entry(t, settings{authority: a}, "portsip", sim.URL(), id, password, map[string]any{"domain": domain, "events": "webhook",
				"webhook": map[string]any{"listen": taken.Addr().String(), "token_file": file(t, "a-token-of-the-webhook")}})}
			checks := seenAs(t, p, presence.Both, other{})
			says(t, checks, c.want, "OH-PBX-002")
			found := slices.IndexFunc(checks, func(c doctor.Check) bool {
				return c.Code == "OH-PBX-008" && c.Level == "ok" && !strings.Contains(c.Check, "PortSIP does not say")
			})
			if found >= 0 {
				t.Errorf("it says more than it knows: %+v", checks[found])
			}
		})
	}
}

func TestAnOldFreeSWITCHIsNamed(t *testing.T) {
	p := hospital["freeswitch"](t, settings{authority: newAuthority(t, time.Now())})
	for version, w := range map[string]want{
		"1.8.7": {"OH-PBX-010", "warning", "1.8.7 is older", "update"}, "unknown": {"OH-PBX-010", "warning", "not known", "freeswitch.md"},
		"1.10.0": {"OH-PBX-010", "ok", "", ""},
	} {
		says(t, seenAs(t, p, presence.TeamsToPBX, other{version: version}), w, "OH-PBX-002")
	}
}

// An Asterisk answers every question to an account that is told of nothing, so that the
// doctor cannot know, and does not say that it does.
func TestOfAnAsteriskItIsNotSaidThatItTellsOfChanges(t *testing.T) {
	for _, read := range []string{"system", "system,call,reporting"} {
		a := newAuthority(t, time.Now())
		sim, err := asterisksim.Start(asterisksim.Config{Authority: a, Extensions: 3, Read: read})
		must(t, err)
		t.Cleanup(sim.Close)
		id, password := sim.Credentials()
		p := &patient{entry: entry(t, settings{authority: a}, "asterisk", sim.URL(), id, password, nil)}
		found := slices.IndexFunc(seenAs(t, p, presence.Both, other{}), func(c doctor.Check) bool {
			return c.Code == "OH-PBX-008" && c.Level == "ok" && strings.Contains(c.Check, "read = call")
		})
		if found < 0 {
			t.Errorf("read = %s: it is not said", read)
		}
	}
}

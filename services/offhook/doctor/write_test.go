package doctor_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

func TestAWriteIsTriedWhereItIsAllowedAndChangesNothing(t *testing.T) {
	forbidden := map[string]want{
		"3cx": {"OH-PBX-011", "problem", "403", "role System Admin"}, "portsip": {"OH-PBX-011", "problem", "403", "administrator's role"},
		"asterisk":   {"OH-PBX-011", "problem", "ermission", "write = system,call,reporting"},
		"freeswitch": {"OH-PBX-001", "problem", "permission denied", "esl-allowed-api"}, // it writes a probe when it begins
	}
	for _, driver := range slices.Sorted(maps.Keys(forbidden)) {
		t.Run(driver, func(t *testing.T) {
			p := hospital[driver](t, settings{authority: newAuthority(t, time.Now())})
			before := p.shown()
			links := []config.Link{{User: "anna@contoso.example", System: "hq", Extension: string(p.ext)}}
			for _, check := range examined(t, p.entry, presence.TeamsToPBX, links, identity.Line{System: "other", Extension: p.ext}) {
				if check.Code == "OH-PBX-011" {
					t.Errorf("it writes unasked: %+v", check)
				}
			}
			line := identity.Line{System: "hq", Extension: p.ext}
			says(t, examined(t, p.entry, presence.TeamsToPBX, links, line), want{"OH-PBX-011", "ok", "", ""}, "OH-PBX-002")
			says(t, examined(t, p.entry, presence.TeamsToPBX, links, identity.Line{System: "hq", Extension: "999"}), want{"OH-PBX-011", "problem", "", "choose an extension"}, "OH-PBX-002")
			p.forbids()
			says(t, examined(t, p.entry, presence.TeamsToPBX, links, line), forbidden[driver], "OH-PBX-002")
			if after := p.shown(); after != before {
				t.Errorf("it showed %s, and now %s", before, after)
			}
		})
	}
}

// What the doctor publishes is another publication beside those of others: it says the same,
// and ends soon after the doctor.
func TestATrialPublicationLeavesNothingBehind(t *testing.T) {
	authority := newAuthority(t, time.Now())
	server := kamailiotest.Start(t, kamailiotest.Options{Authority: authority})
	if server == nil {
		return
	}
	system := presenceServer(t, settings{authority: authority}, server).entry
	links := []config.Link{{User: "anna@contoso.example", System: "hq", Extension: "120"}}
	line := identity.Line{System: "hq", Extension: "120"}
	says(t, examined(t, system, presence.TeamsToPBX, links, line), want{"OH-PBX-011", "warning", "nothing was written", "choose an extension"})

	phone := openWith(t, system, map[string]any{"remove_on_close": true})
	must(t, phone.SetStatus(t.Context(), "120", presence.DND))
	says(t, examined(t, system, presence.TeamsToPBX, links, line), want{"OH-PBX-011", "ok", "", ""})
	lamp := server.Watch(t, "120")
	lamp.Sees(t, presence.DND)
	must(t, phone.Close())
	lamp.Sees(t, presence.Unset)
	for began := time.Now(); kamailiotest.Shown(server.Fetch(t, "120")) != presence.Unset; <-time.After(50 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("what the doctor published is still there")
		}
	}
}

// openWith opens a system as pbx-writer does, with some options more.
func openWith(t *testing.T, system config.System, options map[string]any) pbx.Driver {
	t.Helper()
	system.Options = maps.Clone(system.Options)
	maps.Copy(system.Options, options)
	d, err := writer.OpenDriver(t.Context(), system)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// Phones that watch somebody who is busy hear of the doctor, if anything, that he still is.
func TestTheDoctorTellsPhonesNothingNew(t *testing.T) {
	for claim, writes := range map[string][]identity.Line{"which reads": nil, "which writes": {{System: "hq", Extension: "120"}}} {
		t.Run(claim, func(t *testing.T) {
			authority := newAuthority(t, time.Now())
			server := kamailiotest.Start(t, kamailiotest.Options{Authority: authority})
			if server == nil {
				return
			}
			system := presenceServer(t, settings{authority: authority}, server).entry
			system.Options["lamps"], system.Options["remove_on_close"] = []any{"dnd"}, true
			system.Options["extensions"] = "120-319" // so many take longer than the keeper of lamps waits
			ours := openWith(t, system, nil)
			status, lamp := server.Watch(t, "120"), server.WatchCalls(t, "120")
			must(t, ours.SetStatus(t.Context(), "120", presence.DND))
			status.Sees(t, presence.DND)
			lamp.Sees(t, kamailiotest.Red)
			<-time.After(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond))) // Kamailio orders publications by whole seconds

			links := []config.Link{{User: "anna@contoso.example", System: "hq", Extension: "120"}}
			says(t, examined(t, system, presence.TeamsToPBX, links, writes...), want{"OH-PBX-003", "ok", "", ""})

			server.Call(t, "120", "real", "confirmed") // after it nothing of the doctor is on its way any more
			told := func() string { return strings.Join(lamp.Documents(), "\n") }
			for began := time.Now(); !strings.Contains(told(), `"real"`) && time.Since(began) < 10*time.Second; <-time.After(5 * time.Millisecond) {
			}
			if told := told(); !strings.Contains(told, `"real"`) || strings.Contains(told, "terminated") {
				t.Errorf("the lamp was told\n%s", told)
			}
			must(t, ours.SetStatus(t.Context(), "120", presence.Away))
			status.Sees(t, presence.Away)
			documents := status.Documents()
			for _, document := range documents[1 : len(documents)-1] { // the first one is of before
				if shown := kamailiotest.Shown(document); shown != presence.DND {
					t.Errorf("the phone was told %v:\n%s", shown, document)
				}
			}
		})
	}
}

// fickle is a phone system on which somebody is busy at the same time.
type fickle struct {
	pbx.Driver
	read     presence.Status // instead of what is shown
	set      func()
	statuses error
}

func (f *fickle) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	if f.read != presence.Unset {
		return f.read, nil
	}
	return f.Driver.Status(ctx, ext)
}

func (f *fickle) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	defer f.set()
	return f.Driver.SetStatus(ctx, ext, s)
}

func (f *fickle) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	if f.statuses != nil {
		return f.statuses
	}
	return f.Driver.Statuses(ctx, yield)
}

func (f *fickle) Capabilities() pbx.Capabilities {
	c := f.Driver.Capabilities()
	return pbx.Capabilities{Powers: c.Powers, Version: c.Version}
}

func TestWhatIsWrittenIsLookedAtAfterwards(t *testing.T) {
	switched := presence.SetOf(presence.Available, presence.DND)
	for claim, c := range map[string]struct {
		spoil func(*memory.PhoneSystem, *fickle)
		want  want
	}{
		"another status is shown afterwards": {func(p *memory.PhoneSystem, f *fickle) { f.set = func() { p.Choose("100", presence.Lunch) } },
			want{"OH-PBX-011", "problem", "lunch is shown instead of available", "somebody has changed it"}},
		"it shows what cannot be written": {func(_ *memory.PhoneSystem, f *fickle) { f.read = presence.Away },
			want{"OH-PBX-011", "warning", "away, which can be read", "another status"}},
		"it is asked too often": {func(_ *memory.PhoneSystem, f *fickle) { f.statuses = fault.New(fault.Throttled, "x", nil) },
			want{"OH-PBX-003", "problem", "throttled", "lower pace"}},
		"it does not answer": {func(_ *memory.PhoneSystem, f *fickle) { f.statuses = fault.New(fault.Timeout, "x", nil) },
			want{"OH-PBX-003", "problem", "timeout", "check url of system hq"}},
		"its licence is over": {func(_ *memory.PhoneSystem, f *fickle) { f.statuses = fault.New(fault.Denied, "x", pbx.ErrLicence) },
			want{"OH-PBX-003", "problem", "licence", "Enterprise"}},
	} {
		t.Run(claim, func(t *testing.T) {
			system := memory.NewPhoneSystem(directory.Extension{Number: "100", Enabled: true})
			driver := &fickle{Driver: memory.Open(system, presence.Powers{Write: switched, Read: presence.All, Ring: presence.SetOf(presence.Available)}), set: func() {}}
			c.spoil(system, driver)
			checks := doctor.Run(t.Context(), config.Config{Systems: []config.System{{ID: "hq", Driver: "3cx"}}}, doctor.Options{
				Now: time.Now(), Write: []identity.Line{{System: "hq", Extension: "100"}},
				OpenSystem: func(context.Context, config.System) (pbx.Driver, error) { return driver, nil },
			})
			checks = slices.DeleteFunc(checks, func(c doctor.Check) bool { return !strings.HasPrefix(c.Code, "OH-PBX") })
			says(t, checks, c.want, "OH-PBX-002", "OH-PBX-010")
		})
	}
}

package asterisk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
)

// Driver speaks to one Asterisk. It implements pbx.Driver, pbx.Extensions and pbx.Watcher;
// what Open returns where the manager account may originate calls is a pbx.Dialer besides.
type Driver struct {
	config  Config
	places  places
	version string
	mail    bool // voicemail boxes can be listed
	dials   bool // calls can be originated

	current atomic.Pointer[session] // for requests; nil before the first
	turn    chan struct{}           // holds a value while one is made
	done    chan struct{}           // closed by Close
	closed  atomic.Bool
}

var (
	_ pbx.Driver     = (*Driver)(nil)
	_ pbx.Extensions = (*Driver)(nil)
	_ pbx.Watcher    = (*Driver)(nil)
	_ pbx.Dialer     = dialling{}
)

// Open connects to a phone system: it signs in, and sees whether the manager account may
// do what is needed, and whether it may dial. Errors are classified; Invalid means the
// configuration.
func Open(ctx context.Context, config Config) (pbx.Driver, error) {
	d, err := connect(ctx, config)
	switch {
	case err != nil:
		return nil, err
	case d.dials:
		return dialling{d}, nil
	}
	return d, nil
}

// connect is Open without the power to dial.
func connect(ctx context.Context, config Config) (*Driver, error) {
	var problems []error
	for _, p := range config.Problems() {
		problems = append(problems, fmt.Errorf("%s: %s", p.Field, p.What))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fault.New(fault.Invalid, "asterisk: configuration", err)
	}
	if config.Profile != Plain {
		config.Context = cmp.Or(config.Context, freePBXContext)
		config.DialContext = cmp.Or(config.DialContext, freePBXDialled)
	}
	config.Device = cmp.Or(config.Device, "PJSIP/"+variable)
	config.Mailboxes = cmp.Or(config.Mailboxes, "default")
	config.Timeout = cmp.Or(config.Timeout, defaultTimeout)
	config.Settle = cmp.Or(config.Settle, defaultSettle)
	config.Beat = min(cmp.Or(config.Beat, defaultBeat), pbx.WatchBeat)
	d := &Driver{config: config, places: config.places(), turn: make(chan struct{}, 1), done: make(chan struct{})}
	if err := d.explore(ctx); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// explore finds the version, and whether the rights suffice.
func (d *Driver) explore(ctx context.Context) error {
	const op = "asterisk: open"
	s, err := d.connected(ctx, op)
	if err != nil {
		return err
	}
	d.version = "AMI " + s.Version()
	allowed, err := s.read(ctx, op, ami.NewAction("ListCommands"))
	if err != nil {
		return err
	}
	may := make(map[string]bool)
	for _, name := range allowed.Keys() {
		may[strings.ToLower(name)] = true
	}
	if d.mail = may["voicemailuserslist"]; may["coresettings"] {
		settings, err := s.read(ctx, op, ami.NewAction("CoreSettings"))
		if err != nil {
			return err
		}
		d.version = cmp.Or(settings.Get("AsteriskVersion"), d.version)
	}
	if !may["ping"] { // which everybody may: this list tells nothing
		return nil
	}
	d.dials = may["originate"] && may["extensionstate"] && d.config.DialContext != ""
	var missing []string
	for _, need := range d.needs() {
		if !may[strings.ToLower(need.action)] {
			missing = append(missing, need.action+" (write = "+need.right+")")
		}
	}
	if len(missing) > 0 {
		return fault.Errorf(fault.Denied, op, "the manager account may not use %s", strings.Join(missing, ", "))
	}
	return nil
}

// need is an action that is used, and the right for it in manager.conf.
type need struct{ action, right string }

// needs are those of the profile.
func (d *Driver) needs() []need {
	all := []need{{"DeviceStateList", "call or reporting"}, {"CoreShowChannels", "system or reporting"}}
	if d.places.family != "" || d.config.Profile != Plain {
		all = append(all, need{"DBGet", "system or reporting"})
	}
	if d.places.family != "" {
		all = append(all, need{"DBPut", "system"}, need{"DBDel", "system"})
	}
	if d.places.lamp != "" || d.places.presence != "" {
		all = append(all, need{"Setvar", "call"})
	}
	if d.places.family == "" && d.places.lamp != "" {
		all = append(all, need{"Getvar", "call or reporting"})
	}
	if d.places.presence != "" {
		all = append(all, need{"PresenceState", "call or reporting"}, need{"PresenceStateList", "call or reporting"})
	}
	if len(d.config.Extensions) == 0 {
		all = append(all, need{"ExtensionStateList", "call or reporting"})
		if d.config.Profile == Plain {
			all = append(all, need{"ExtensionState", "call or reporting"})
		}
	}
	return all
}

// Capabilities follow from the configuration.
func (d *Driver) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{Powers: d.places.powers(), Version: d.version, Extensions: true, Watch: pbx.WatchPowers{Calls: true, Status: true}, Parts: d.places.several()}
}

// Status is an action for the switch and, where that is off and there are presences, one
// for the presence.
func (d *Driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	const op = "asterisk: status"
	s, err := d.connected(ctx, op)
	if err != nil {
		return presence.Unset, err
	}
	if _, err := s.devices(ctx, op, ext); err != nil {
		return presence.Unset, err
	}
	return d.status(ctx, op, s, ext, nil)
}

// status reads what somebody shows who is there. Of presences that are known already the
// others are asked for.
func (d *Driver) status(ctx context.Context, op string, s *session, ext identity.Extension, presences map[string]shown) (presence.Status, error) {
	dnd, err := d.isOn(ctx, op, s, ext)
	if err != nil || dnd || d.places.presence == "" {
		return d.places.status(dnd, shown{}), err
	}
	name := of(d.places.presence, ext)
	if known, listed := presences[name]; listed {
		return d.places.status(false, known), nil
	}
	m, err := s.read(ctx, op, ami.NewAction("PresenceState", "Provider", name))
	switch {
	case says(err, saysNoProvider): // nobody has ever set it
		return d.places.status(false, shown{}), nil
	case err != nil:
		return presence.Unset, err
	case m.Get("State") == "":
		return presence.Unset, s.senseless(op, "PresenceState")
	}
	return d.places.status(false, presenceOf(m, "State")), nil
}

// isOn reads the switch.
func (d *Driver) isOn(ctx context.Context, op string, s *session, ext identity.Extension) (bool, error) {
	switch {
	case d.places.family != "":
		// FreePBX takes anything for "on", and so do we.
		value, found, err := s.entry(ctx, op, d.places.family, of(d.places.key, ext))
		return found && value != "", err
	case d.places.lamp != "":
		m, err := s.read(ctx, op, ami.NewAction("Getvar", "Variable", "DEVICE_STATE("+of(d.places.lamp, ext)+")"))
		if err == nil && m.Get("Value") == "" {
			err = s.senseless(op, "Getvar")
		}
		return strings.EqualFold(m.Get("Value"), on), err
	}
	return false, nil
}

// SetStatus sends the first action, and then the rest: see the package.
func (d *Driver) SetStatus(ctx context.Context, ext identity.Extension, status presence.Status) error {
	const op = "asterisk: set status"
	if !d.places.powers().Write.Has(status) {
		return fault.Errorf(fault.Unsupported, op, "status %q cannot be written", status)
	}
	s, err := d.connected(ctx, op)
	if err != nil {
		return err
	}
	devices, err := s.devices(ctx, op, ext)
	if err != nil {
		return err
	}
	writes := d.places.writes(ext, devices, status)
	if err := s.write(ctx, op, writes[0]); err != nil || len(writes) == 1 {
		return err
	}
	if err = s.write(ctx, op, writes[1:]...); err != nil && fault.KindOf(err) != fault.Cancelled {
		return fault.New(fault.Timeout, op, err) // part of it has happened, whatever became of the rest
	}
	return err
}

// Close closes the connections and ends a watch.
func (d *Driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	close(d.done)
	if s := d.current.Load(); s != nil {
		s.Close()
	}
	return nil
}

func (d *Driver) isClosed() bool { return d.closed.Load() }

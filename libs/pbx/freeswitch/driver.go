package freeswitch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// Driver speaks to one domain of a FreeSWITCH.
type Driver struct {
	config  Config
	link    *link
	store   store
	version string
	dumps   bool // mod_hash tells all of a realm at once
}

var (
	_ pbx.Driver     = (*Driver)(nil)
	_ pbx.Extensions = (*Driver)(nil)
	_ pbx.Watcher    = (*Driver)(nil)
)

// errSlow ends a listing that takes too long.
var errSlow = errors.New("the list of users took too long")

const (
	// listTimeout bounds list_users, which looks up the contact of every user.
	listTimeout = 60 * time.Second
	// batch is how many statuses are read in one round trip.
	batch = 100
	// few statuses are read one by one although all can be told at once.
	few = 10
)

// Open connects to a FreeSWITCH: it signs in, asks for the version and finds out whether
// statuses can be kept and read. Errors are classified; Invalid means the configuration.
func Open(ctx context.Context, config Config) (*Driver, error) {
	const op = "freeswitch: open"
	var problems []error
	for _, p := range config.Problems() {
		problems = append(problems, fmt.Errorf("%s: %s", p.Field, p.What))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fault.New(fault.Invalid, "freeswitch: configuration", err)
	}
	config = config.completed()
	d := &Driver{config: config, link: newLink(config), store: newStore(config)}
	if err := d.explore(ctx, op); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// explore finds out what there is. With mod_hash it keeps something that is nobody's, looks
// whether it is told, and takes it away again: under a key of its own each time, so that
// who does the same at the same time (the doctor) does not take it away before.
func (d *Driver) explore(ctx context.Context, op string) error {
	conn, err := d.link.get(ctx, op)
	if err != nil {
		return err
	}
	commands := []esl.Command{esl.API("version")}
	h, plain := d.store.(hash)
	probe := identity.Extension("offhook-probe-" + rand.Text())
	if plain {
		commands = append(commands, esl.API("hash insert/"+h.key(probe)+"/available"), h.dump(), esl.API("hash delete/"+h.key(probe)))
	}
	replies, err := conn.Do(ctx, commands...)
	if err != nil {
		return failed(ctx, op, false, err)
	}
	d.version = version(replies[0])
	if !plain {
		return nil
	}
	if !replies[1].Accepted() {
		return refusal(op+": hash insert", replies[1])
	}
	all, ok := h.parseDump(replies[2])
	d.dumps = ok && all[probe] == presence.Available
	return nil
}

// version is 1.10.12 of "FreeSWITCH Version 1.10.12-release ...". Users who may not ask
// have none.
func version(reply esl.Reply) string {
	text, ok := strings.CutPrefix(strings.TrimSpace(string(reply)), "FreeSWITCH Version ")
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, " ")
	text, _, _ = strings.Cut(text, "-")
	return clean(text)
}

// Capabilities follow from the profile.
func (d *Driver) Capabilities() pbx.Capabilities {
	powers := d.store.powers()
	return pbx.Capabilities{
		Powers:  presence.Powers{Write: powers, Read: powers, Ring: presence.SetOf(presence.Available)},
		Version: d.version, Extensions: true, Watch: pbx.WatchPowers{Calls: true, Status: true},
		Volatile: d.config.Profile == Plain,
	}
}

// Close closes the connections and ends a watch.
func (d *Driver) Close() error {
	d.link.close()
	return nil
}

// do sends commands.
func do(ctx context.Context, op string, conn *esl.Conn, write bool, commands ...esl.Command) ([]esl.Reply, error) {
	replies, err := conn.Do(ctx, commands...)
	if err != nil {
		return nil, failed(ctx, op, write, err)
	}
	return replies, nil
}

// exists is the command that asks whether there is a user.
func (d *Driver) exists(ext identity.Extension) esl.Command {
	return esl.API("user_exists id " + string(ext) + " " + d.config.Domain)
}

// found reads the reply to it.
func (d *Driver) found(op string, ext identity.Extension, reply esl.Reply) error {
	switch text := strings.TrimSpace(string(reply)); {
	case text == "true":
		d.link.learn(ext, true)
		return nil
	case text == "false":
		d.link.learn(ext, false)
		return fault.Errorf(fault.NotFound, op, "the directory has no user %s", d.config.address(ext))
	case reply.Refused():
		return refusal(op+": user_exists", reply)
	}
	return fault.New(fault.Unavailable, op, errSenseless)
}

// Status reads what is kept.
func (d *Driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	const op = "freeswitch: status"
	conn, err := d.link.get(ctx, op)
	if err != nil {
		return presence.Unset, err
	}
	commands := []esl.Command{d.store.read(ext)}
	unknown := !d.link.knows(ext)
	if unknown {
		commands = append(commands, d.exists(ext))
	}
	replies, err := do(ctx, op, conn, false, commands...)
	if err != nil {
		return presence.Unset, err
	}
	if unknown {
		if err := d.found(op, ext, replies[1]); err != nil {
			return presence.Unset, err
		}
	}
	return d.store.parse(op, replies[0])
}

// SetStatus writes what is kept, and shows it by lamps.
func (d *Driver) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	const op = "freeswitch: set status"
	if !d.store.powers().Has(s) {
		return fault.Errorf(fault.Unsupported, op, "status %q cannot be written (profile: %s)", s, d.config.Profile)
	}
	conn, err := d.link.get(ctx, op)
	if err != nil {
		return err
	}
	if !d.link.knows(ext) {
		replies, err := do(ctx, op, conn, false, d.exists(ext))
		if err != nil {
			return err
		}
		if err := d.found(op, ext, replies[0]); err != nil {
			return err
		}
	}
	replies, err := do(ctx, op, conn, true, d.store.write(ext, s)...)
	if err != nil {
		return err
	}
	return d.store.written(op, replies)
}

// Statuses lists the users and reads what is kept of them: in one round trip where that
// can be told at once, else in one for every hundred.
func (d *Driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	const op = "freeswitch: statuses"
	all, err := d.users(ctx, op)
	if err != nil {
		return err
	}
	ask := func(commands ...esl.Command) ([]esl.Reply, error) {
		conn, err := d.link.get(ctx, op)
		if err != nil {
			return nil, err
		}
		return do(ctx, op, conn, false, commands...)
	}
	return d.statuses(op, ask, all, func(ext identity.Extension, s presence.Status) error {
		if ctx.Err() != nil {
			return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
		}
		return yield(ext, s)
	})
}

// statuses reads the statuses of some users.
func (d *Driver) statuses(op string, ask func(...esl.Command) ([]esl.Reply, error), all []identity.Extension, yield func(identity.Extension, presence.Status) error) error {
	if d.dumps && len(all) > few {
		h := d.store.(hash)
		replies, err := ask(h.dump())
		if err != nil {
			return err
		}
		kept, ok := h.parseDump(replies[0])
		switch {
		case !ok && replies[0].Refused():
			return refusal(op, replies[0])
		case !ok:
			return fault.New(fault.Unavailable, op, errSenseless)
		}
		for _, ext := range all {
			if err := yield(ext, kept[ext]); err != nil {
				return err
			}
		}
		return nil
	}
	for len(all) > 0 {
		some := all[:min(batch, len(all))]
		all = all[len(some):]
		commands := make([]esl.Command, len(some))
		for i, ext := range some {
			commands[i] = d.store.read(ext)
		}
		replies, err := ask(commands...)
		if err != nil {
			return err
		}
		for i, ext := range some {
			s, err := d.store.parse(op, replies[i])
			if err != nil {
				return err
			}
			if err := yield(ext, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Extensions lists the users of the directory, or those that are configured.
func (d *Driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	const op = "freeswitch: extensions"
	rows, err := d.rows(ctx, op)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if ctx.Err() != nil {
			return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) users(ctx context.Context, op string) ([]identity.Extension, error) {
	rows, err := d.rows(ctx, op)
	all := make([]identity.Extension, len(rows))
	for i, row := range rows {
		all[i] = row.Number
	}
	return all, err
}

// rows lists the users. list_users runs in the background, so that writes need not wait
// for it.
func (d *Driver) rows(ctx context.Context, op string) ([]directory.Extension, error) {
	if len(d.config.Extensions) > 0 {
		rows := make([]directory.Extension, len(d.config.Extensions))
		for i, ext := range d.config.Extensions {
			rows[i] = directory.Extension{Number: ext, Enabled: true}
		}
		_, err := d.link.get(ctx, op)
		return rows, err
	}
	conn, err := d.link.get(ctx, op)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, listTimeout, errSlow)
	defer cancel()
	reply, err := conn.Job(bounded, "list_users domain "+d.config.Domain)
	if err != nil {
		return nil, failed(bounded, op, false, err)
	}
	if reply.Refused() {
		return nil, refusal(op+": list_users", reply)
	}
	rows, err := parseUsers(string(reply), d.config.Domain)
	if err != nil {
		return nil, fault.New(fault.Unavailable, op, err)
	}
	all := make([]identity.Extension, len(rows))
	for i, row := range rows {
		all[i] = row.Number
	}
	d.link.learnAll(all)
	return rows, nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/topology"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
)

// paces are the requests a second that phone systems allow here. 3CX names none;
// PortSIP allows 10,000 a minute, which is 167 (facts of its documentation).
var paces = []float64{50, 160}

func phonesTable() Table {
	return Table{
		Name: "phones",
		What: "Meetings that all begin at the same instant, to the last extension that shows it: timers, presence-mapper and pbx-writer, and a simulated 3CX that allows so many requests a second, its listings among them. Floor: the writes divided by the pace.",
		Aim:  "within 1.1 times the floor; one write each, none early",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"meetings", "requests a second", "p50", "p99", "last", "floor", "of the floor", "writes", "requests", "early"}}
			for _, people := range b.Sizes.Phones {
				for _, pace := range paces {
					if err := b.phones(ctx, &r, people, pace); err != nil {
						return r, fmt.Errorf("%d meetings at %g/s: %w", people, pace, err)
					}
				}
			}
			return r, nil
		},
	}
}

func (b *Bench) phones(ctx context.Context, r *Report, people int, pace float64) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := &calendars{people: people}
	if c.broker, c.bus, err = startBroker(ctx, b.path(fmt.Sprintf("nats-%d-%g", people, pace))); err != nil {
		return err
	}
	defer c.broker.Close()
	defer c.bus.Close()
	if err := c.bus.Apply(ctx, bus.Layout{}); err != nil {
		return err
	}
	if err := c.populate(ctx, false); err != nil {
		return err
	}
	sim, system, err := b.paced(people, pace)
	if err != nil {
		return err
	}
	defer sim.Close()
	log, err := b.logFile()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	settings := b.calendarsOnly()
	settings.Systems, settings.Tenants[0].Systems = []config.System{system}, []string{system.ID}
	for _, part := range []*running{start(ctx, settings, c.broker, log, mapper.Part()), start(ctx, settings, c.broker, log, writer.Part())} {
		defer func() { err = errors.Join(err, part.halt()) }()
	}
	// Everybody is decided for, and nothing is on its way.
	if why, err := settle(ctx, 5*time.Minute, func() (string, error) { return c.remembered(ctx) }); err != nil || why != "" {
		return errors.Join(err, errors.New(why))
	}
	before := len(sim.Writes())
	var asked int
	at := time.Now().Add(5*time.Second + time.Duration(people)*time.Millisecond).Truncate(time.Second)
	for i := range people {
		if err := c.read(ctx, i, at, at.Add(time.Hour)); err != nil {
			return err
		}
	}
	why, err := settle(ctx, 10*time.Minute, func() (string, error) {
		if asked == 0 && !time.Now().Before(at) {
			asked = sim.Stats().Requests
		}
		if n := showing(sim, presence.DND); n < people {
			return fmt.Sprintf("%d of %d show their meeting", n, people), nil
		}
		return "", nil
	})
	if err != nil || why != "" {
		return errors.Join(err, errors.New(why))
	}
	asked = sim.Stats().Requests - asked
	var late sample
	early := 0
	for _, w := range sim.Writes()[before:] {
		if w.At.Before(at) {
			early++
		}
		late = append(late, w.At.Sub(at))
	}
	late.sorted()
	floor := time.Duration(float64(people) / pace * float64(time.Second))
	r.row(people, fmt.Sprintf("%g", pace), late.at(0.5), late.at(0.99), late.at(1), floor, percent(float64(late.at(1))/float64(floor)), len(late), asked, early)
	r.check(early == 0, "%d writes came before their meeting", early)
	r.check(len(late) == people, "%d writes for %d meetings", len(late), people)
	return nil
}

// paced is a simulated 3CX with everybody's extension, and how it is configured.
func (b *Bench) paced(people int, pace float64) (*pbxsim.Sim, config.System, error) {
	authority, err := secret.NewAuthority("bench", time.Now())
	if err != nil {
		return nil, config.System{}, err
	}
	sim, err := pbxsim.Start(pbxsim.Config{Listen: "127.0.0.1:0", Authority: authority, System: "hq", Version: "20.0.9",
		Extensions: people, FirstNumber: 100_000, Seed: 1})
	if err != nil {
		return nil, config.System{}, err
	}
	_, password := sim.Credentials()
	s := config.DefaultSystem()
	s.ID, s.Driver, s.URL, s.ClientID, s.Pace.PerSecond, s.Tenants = "hq", "3cx", sim.URL(), "offhook", pace, []string{"contoso"}
	s.ClientSecretFile, s.CAFile = b.path("hq.secret"), b.path("ca.pem")
	return sim, s, errors.Join(os.WriteFile(s.ClientSecretFile, []byte(password.Reveal()), 0o600), os.WriteFile(s.CAFile, authority.PEM(), 0o600))
}

// remembered says whether everybody has been decided for once.
func (c *calendars) remembered(ctx context.Context) (string, error) {
	n, err := messages(ctx, c.bus, topology.Decisions)
	if err != nil || n < c.people {
		return fmt.Sprintf("%d of %d are decided for", n, c.people), err
	}
	return "", nil
}

// showing counts the extensions that show a status.
func showing(sim *pbxsim.Sim, status presence.Status) (n int) {
	for _, shown := range sim.Truth() {
		if shown.Status == status {
			n++
		}
	}
	return n
}

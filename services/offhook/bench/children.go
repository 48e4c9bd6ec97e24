package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/run"
	"offhook.dev/services/contact-sync/contactsync"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/graph-writer/graphwriter"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
	"offhook.dev/services/user-sync/usersync"
)

// A child is what a table runs in a process of its own, so that what it takes is told
// from what the simulators beside it take. Its name is that of a hidden command.
type child struct {
	name, what string
	args       int
	// run ends when in does, or when its work is done. What it tells goes to out.
	run func(ctx context.Context, args []string, in io.Reader, out io.Writer) error
}

func children() []child {
	return []child{
		{"sweep-client", "One sweep, for the table sweep", 0, func(ctx context.Context, _ []string, in io.Reader, out io.Writer) error {
			return sweepOnce(ctx, in, out)
		}},
		{"broker", "The broker of the table people, with its files in a folder", 1, serveBroker},
		{"part", "A service of the table people, by name and configuration", 2, servePart},
	}
}

// runChild runs the child of a name.
func runChild(ctx context.Context, name string, args []string, in io.Reader, out io.Writer) error {
	for _, c := range children() {
		if c.name == name && len(args) == c.args {
			return c.run(ctx, args, in, out)
		}
	}
	return fmt.Errorf("there is no child %q of %d arguments", name, len(args))
}

// greeting is the first line of a child that stays: where it is to be reached.
type greeting struct {
	Address string `json:"address"`
}

// serveBroker is a broker that syncs before it acks, on a port of its own.
func serveBroker(_ context.Context, args []string, in io.Reader, out io.Writer) error {
	s, err := embedded.Start(embedded.Options{Dir: args[0], Host: "127.0.0.1", Port: -1})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := json.NewEncoder(out).Encode(greeting{s.ClientURL()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// servePart is one service as it runs in production.
func servePart(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c, err := config.Load(args[1], nil, nil)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // however it ends, nobody wants this service any more
		stop()
	}()
	for _, part := range []run.Part{poller.Part(), usersync.Part(), contactsync.Part(), mapper.Part(), writer.Part(), graphwriter.Part(), api.Part()} {
		if string(part.Name) == args[0] {
			return run.Process(ctx, c, run.Options{Name: args[0], Instance: "bench", LogTo: os.Stderr, OnMetrics: func(address string) {
				_ = json.NewEncoder(out).Encode(greeting{"http://" + address + "/metrics"})
			}}, part)
		}
	}
	return fmt.Errorf("there is no part %q", args[0])
}

// process is a child that stays until halt.
type process struct {
	name    string
	address string
	command *exec.Cmd
	in      io.Closer
	ended   chan error
}

// spawn starts a child that stays, and returns when it is to be reached. What it says of
// itself goes to log.
func (b *Bench) spawn(ctx context.Context, log io.Writer, args ...string) (*process, error) {
	if len(b.Child) == 0 {
		return nil, errors.New("no command line for processes beside this one")
	}
	p := &process{name: strings.Join(args, " "), ended: make(chan error, 1)}
	p.command = exec.CommandContext(ctx, b.Child[0], append(b.Child[1:len(b.Child):len(b.Child)], args...)...)
	p.command.Stderr = log
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var g greeting
	if err == nil {
		err = json.Unmarshal(line, &g)
	}
	p.address = g.Address
	go func() { p.ended <- p.command.Wait() }()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", p.name, err), p.halt())
	}
	return p, nil
}

// halt lets the child end and waits for it.
func (p *process) halt() error {
	_ = p.in.Close() // the child may be gone already
	if err := <-p.ended; err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// broken returns what ended a child that was not asked to end, or nil.
func (p *process) broken() error {
	select {
	case err := <-p.ended:
		p.ended <- err // halt still reads it
		return fmt.Errorf("%s ended: %w", p.name, err)
	default:
		return nil
	}
}

// peak is the most memory that the child ever had.
func (p *process) peak() size {
	_, peak := resident(strconv.Itoa(p.command.Process.Pid))
	return peak
}

// total adds up a metric of the child over all labels.
func (p *process) total(ctx context.Context, metric string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(series, metric+"{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", metric, err)
		}
		sum += n
	}
	return sum, lines.Err()
}

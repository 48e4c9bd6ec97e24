package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

const (
	reconnectFirst = 250 * time.Millisecond
	reconnectMost  = 5 * time.Second
	eventLimit     = 1 << 20
)

func (a *app) newWatch() *cobra.Command {
	c := &cobra.Command{
		Use: "watch [USER]", Short: "Live changes, one line each",
		Long: "Print changes as they happen: what an extension showed and shows now, why, how long\n" +
			"it took from being seen to the phone system's answer, and what came of it. A lost\n" +
			"connection is made again, without missing an outcome.\n\n" + userHelp,
		Example: "  offhook watch\n  offhook watch anna -o json | jq .latency_ms",
		Args:    cobra.MaximumNArgs(1),
	}
	format, address, tenant := outputFlag(c), apiFlag(c), tenantFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := apiClient(*address)
		if err != nil {
			return err
		}
		out := c.OutOrStdout()
		show := func(change api.Change) error { return a.printChange(out, change) }
		if format.json() {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			show = func(change api.Change) error { return lines.Encode(change) }
		}
		return (&follower{client: client, query: selection(args, *tenant), show: show, notes: c.ErrOrStderr()}).follow(c.Context())
	}
	return c
}

// follower reads a watch and makes it again when it breaks.
type follower struct {
	client client
	query  url.Values
	show   func(api.Change) error
	notes  io.Writer // for people

	last string // id of the last event that had one
	live bool   // a connection has been there
}

// follow returns when ctx ends, printing fails, or the API refuses. The first
// connection must succeed: else the address may be wrong.
func (f *follower) follow(ctx context.Context) error {
	wait := reconnectFirst
	for {
		connected, err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errPrint), !f.live, refusal(err):
			return err
		case connected:
			wait = reconnectFirst
			fmt.Fprintf(f.notes, "connection lost (%v); making it again\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, reconnectMost)
	}
}

// refusal says whether trying again cannot help.
func refusal(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return false
	}
	switch p.Code {
	case "OH-CLI-UNREACHABLE", api.CodeStarting, api.CodeStopping, api.CodeSlow, api.CodeBroker:
		return false
	}
	return true
}

var errPrint = errors.New("output")

// once reads one connection until it ends.
func (f *follower) once(ctx context.Context) (connected bool, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if f.last != "" {
		header.Set("Last-Event-ID", f.last)
	}
	path := "/api/v1/watch"
	if len(f.query) > 0 {
		path += "?" + f.query.Encode()
	}
	answer, err := f.client.send(ctx, http.MethodGet, path, nil, header)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return false, &api.Problem{Code: "OH-CLI-ANSWER", What: f.client.who + " answered " + kind + " instead of events", Where: f.client.base, Fix: "check the address: " + f.client.fix}
	}
	f.live = true
	return true, f.read(answer.Body)
}

// read takes events apart as the WHATWG's "event stream interpretation" says, as
// far as the control API uses it: one line of data each.
func (f *follower) read(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, eventLimit)
	var id, name string
	var data []byte
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			id = string(value)
		case "event":
			name = string(value)
		case "data":
			data = bytes.Clone(value)
		}
		if len(lines.Bytes()) > 0 {
			continue
		}
		if err := f.event(name, data); err != nil {
			return err
		}
		if id != "" {
			f.last = id // only now: it has been printed
		}
		id, name, data = "", "", nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return io.ErrUnexpectedEOF
}

func (f *follower) event(name string, data []byte) error {
	switch name {
	case "change":
		var change api.Change
		if err := json.Unmarshal(data, &change); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if err := f.show(change); err != nil {
			return fmt.Errorf("%w: %w", errPrint, err)
		}
	case "problem":
		var p api.Problem
		if err := json.Unmarshal(data, &p); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		return &p
	}
	return nil
}

// printChange prints one line.
func (a *app) printChange(w io.Writer, c api.Change) error {
	if c.Side == api.SideM365 {
		return a.printToTeams(w, c)
	}
	why := or(c.Reason)
	if t := teams(c.Teams); t != "" && c.Result != api.ResultChosen {
		why += " " + t
	}
	after := c.Shown
	result := c.Result
	switch c.Result {
	case "applied":
	case api.ResultChosen:
		why = "a person"
	default:
		after = c.Wanted
		if c.Detail != "" {
			result += ": " + c.Detail
		}
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s@%s  %s -> %s  %s  %s  %s\n", c.At.In(a.zone).Format("15:04:05.000"), plain(who(c.Status)),
		c.Extension, c.System, a.status(c.Before), a.status(after), plain(why), delay(c), plain(result))
	return err
}

// printToTeams prints a line about what Teams is made to show of a user.
func (a *app) printToTeams(w io.Writer, c api.Change) error {
	shows := "nothing of ours"
	if t := c.ToTeams; t != nil && (t.Session != "" || t.Preferred != "") {
		shows = t.String()
	}
	result := c.Result
	if c.Detail != "" {
		result += ": " + c.Detail
	}
	_, err := fmt.Fprintf(w, "%s  %s  -> Teams %s  %s  %s  %s\n", c.At.In(a.zone).Format("15:04:05.000"), plain(who(c.Status)),
		plain(shows), or(plain(c.Reason)), delay(c), plain(result))
	return err
}

func delay(c api.Change) string {
	if c.LatencyMS <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", c.LatencyMS)
}

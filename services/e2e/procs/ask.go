package procs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/pbx/pbxsim"
)

// Simulator drives a running simulator over its control interface.
type Simulator struct{ url string }

const (
	tenantPath = "/tenants/contoso"
	systemPath = "/systems/hq"
)

// User is a user of the simulated tenant.
type User struct {
	ID   string `json:"id"`
	Mail string `json:"mail"`
}

// Users returns the tenant's users, in the order in which they have extensions.
func (s Simulator) Users(ctx context.Context) (users []User, err error) {
	return users, get(ctx, s.url+tenantPath+"/users?limit=100000", &users)
}

// SetPresence sets a presence in Teams.
func (s Simulator) SetPresence(ctx context.Context, user, availability, activity string) error {
	body := map[string]string{"availability": availability, "activity": activity}
	return send(ctx, http.MethodPut, s.url+tenantPath+"/users/"+user+"/presence", body)
}

// Subscriptions returns how many Graph subscriptions there are to presences, and how
// many to calendars.
func (s Simulator) Subscriptions(ctx context.Context) (presences, calendars int, err error) {
	var all []graphsim.Subscription
	err = get(ctx, s.url+tenantPath+"/subscriptions", &all)
	for _, is := range all {
		if _, events := graph.EventUser(is.Resource); events {
			calendars++
		} else if strings.HasPrefix(is.Resource, "communications/presences") {
			presences++
		}
	}
	return presences, calendars, err
}

// Ledger counts the notifications.
func (s Simulator) Ledger(ctx context.Context) (ledger graphsim.Ledger, err error) {
	return ledger, get(ctx, s.url+tenantPath+"/ledger", &ledger)
}

// Violations are what a client of Graph must never do, and one has done.
func (s Simulator) Violations(ctx context.Context) (all []graphsim.Violation, err error) {
	return all, get(ctx, s.url+tenantPath+"/violations", &all)
}

// Extensions returns what the phone system shows.
func (s Simulator) Extensions(ctx context.Context) (all []pbxsim.Shown, err error) {
	return all, get(ctx, s.url+systemPath+"/extensions", &all)
}

// Writes is the phone system's ledger, in the order in which it carried them out.
func (s Simulator) Writes(ctx context.Context) (all []pbxsim.Write, err error) {
	return all, get(ctx, s.url+systemPath+"/writes", &all)
}

// Changes is the phone system's ledger of extensions.
func (s Simulator) Changes(ctx context.Context) (all []pbxsim.Change, err error) {
	return all, get(ctx, s.url+systemPath+"/changes", &all)
}

// RemoveExtension deletes an extension as an administrator does.
func (s Simulator) RemoveExtension(ctx context.Context, ext identity.Extension) error {
	return send(ctx, http.MethodDelete, s.url+systemPath+"/extensions/"+string(ext), nil)
}

// FillContacts makes up contacts in a user's mailbox.
func (s Simulator) FillContacts(ctx context.Context, user string, count int) error {
	return send(ctx, http.MethodPost, s.url+tenantPath+"/users/"+user+"/fill", map[string]int{"count": count})
}

// Contacts returns those of a user's mailbox.
func (s Simulator) Contacts(ctx context.Context, user string) (all []graphsim.Contact, err error) {
	return all, get(ctx, s.url+tenantPath+"/users/"+user+"/contacts", &all)
}

// Book returns the phonebook of an extension.
func (s Simulator) Book(ctx context.Context, owner identity.Extension) (all []directory.Contact, err error) {
	return all, get(ctx, s.url+systemPath+"/books/"+string(owner), &all)
}

// PBXFault makes the phone system misbehave until ClearPBXFaults.
func (s Simulator) PBXFault(ctx context.Context, f pbxsim.Fault) error {
	return send(ctx, http.MethodPost, s.url+systemPath+"/faults", f)
}

// ClearPBXFaults ends that.
func (s Simulator) ClearPBXFaults(ctx context.Context) error {
	return send(ctx, http.MethodDelete, s.url+systemPath+"/faults", nil)
}

// Metric sums the samples of a container's counter whose labels include those given
// as `name="value"`.
func (s *Stack) Metric(ctx context.Context, container, name string, labels ...string) (float64, error) {
	var text bytes.Buffer
	if err := fetch(ctx, http.MethodGet, "http://"+s.addresses[container+":9464"]+"/metrics", nil, &text); err != nil {
		return 0, err
	}
	return sum(&text, name, labels)
}

// sum reads the Prometheus text format, as far as counters without quotes in their
// label values need it (github.com/prometheus/docs, exposition_formats).
func sum(text io.Reader, name string, labels []string) (total float64, err error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, _ := cutLast(lines.Text(), " ")
		metric, rest, _ := strings.Cut(series, "{")
		if metric != name || !hasAll(rest, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metrics: %w", err)
		}
		total += n
	}
	return total, lines.Err()
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

func hasAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// get decodes a JSON answer into into, unless that is nil.
func get(ctx context.Context, url string, into any) error {
	var body bytes.Buffer
	if err := fetch(ctx, http.MethodGet, url, nil, &body); err != nil || into == nil {
		return err
	}
	return json.Unmarshal(body.Bytes(), into)
}

func send(ctx context.Context, method, url string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return fetch(ctx, method, url, bytes.NewReader(text), io.Discard)
}

func fetch(ctx context.Context, method, url string, body io.Reader, into io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // what there is of it is enough
		return fmt.Errorf("%s %s: %s: %s", method, url, response.Status, bytes.TrimSpace(why))
	}
	_, err = io.Copy(into, response.Body)
	return err
}

// redisCommand sends one inline command to a redis-server and returns the first
// line of the answer (redis.io/docs/latest/develop/reference/protocol-spec).
func redisCommand(ctx context.Context, address, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

// dial says whether somebody listens.
func dial(ctx context.Context, address string) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

func ping(ctx context.Context, address string) error {
	answer, err := redisCommand(ctx, address, "PING")
	if err == nil && answer != "+PONG" {
		return fmt.Errorf("redis: %s", answer)
	}
	return err
}

// FlushRedis makes Redis forget everything. Without a redis-server it does nothing.
func (s *Stack) FlushRedis(ctx context.Context) error {
	if s.redis == "" {
		return nil
	}
	answer, err := redisCommand(ctx, s.addresses["redis:6379"], "FLUSHALL")
	if err == nil && answer != "+OK" {
		return fmt.Errorf("redis: %s", answer)
	}
	return err
}

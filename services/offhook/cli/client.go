package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/services/control-api/api"
)

// defaultAPI is where the control API listens unless configured otherwise.
const defaultAPI = "http://127.0.0.1:8080"

const (
	requestTimeout = 30 * time.Second
	answerLimit    = 256 << 20 // 100,000 users are some 40 MB
)

// DevFile says where a running `offhook dev` listens, for the other commands.
type DevFile struct {
	API string `json:"api"` // base URL of the control API
	Sim string `json:"sim"` // base URL of the simulator's control interface
}

// devFilePath is dev.json in the user's configuration folder.
func devFilePath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "offhook", "dev.json"), nil
}

// WriteDevFile makes the addresses known to the other commands of this user. The
// newest `offhook dev` wins.
func WriteDevFile(f DevFile) error {
	path, err := devFilePath()
	if err != nil {
		return fmt.Errorf("dev file: %w", err)
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("dev file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("dev file: %w", err)
	}
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("dev file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("dev file: %w", err)
	}
	return nil
}

// ReadDevFile returns what WriteDevFile wrote; errors.Is(err, fs.ErrNotExist) when
// no `offhook dev` runs.
func ReadDevFile() (DevFile, error) {
	path, err := devFilePath()
	if err != nil {
		return DevFile{}, fmt.Errorf("dev file: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return DevFile{}, fmt.Errorf("dev file: %w", err)
	}
	var f DevFile
	if err := json.Unmarshal(data, &f); err != nil {
		return DevFile{}, fmt.Errorf("dev file %s: %w", path, err)
	}
	return f, nil
}

// RemoveDevFile removes the file if it still says f: a later `offhook dev` may have
// written its own.
func RemoveDevFile(f DevFile) error {
	current, err := ReadDevFile()
	if err != nil || current != f {
		return nil
	}
	path, err := devFilePath()
	if err != nil {
		return fmt.Errorf("dev file: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("dev file: %w", err)
	}
	return nil
}

// client asks one HTTP interface.
type client struct {
	base string
	// what is asked, and how to get it running, for errors.
	who, fix string
}

func apiFlag(c *cobra.Command) *string {
	return c.Flags().String("api", "", "`address` of the control API (default OFFHOOK_API, a running `offhook dev`, or "+defaultAPI+")")
}

// apiClient finds the control API: flag, environment, dev file, default.
func apiClient(flag string) (client, error) {
	dev, _ := ReadDevFile() // not there, or not ours: then it says nothing
	c := client{base: cmp.Or(flag, os.Getenv("OFFHOOK_API"), dev.API, defaultAPI), who: "the control API",
		fix: "start `offhook dev` or `offhook run`, or say where the control API listens with --api or OFFHOOK_API"}
	return c.checked("--api or OFFHOOK_API")
}

// simClient finds the simulator; there is no default.
func simClient(flag string) (client, error) {
	dev, _ := ReadDevFile()
	c := client{base: cmp.Or(flag, os.Getenv("OFFHOOK_SIM"), dev.Sim), who: "the simulator",
		fix: "start `offhook dev`, or say where the simulator's control interface is with --sim or OFFHOOK_SIM"}
	if c.base == "" {
		return c, &api.Problem{Code: "OH-CLI-SIM", What: "no simulator is running that this command knows of", Where: "--sim, OFFHOOK_SIM, dev.json", Fix: c.fix}
	}
	return c.checked("--sim or OFFHOOK_SIM")
}

func (c client) checked(where string) (client, error) {
	u, err := url.Parse(c.base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return c, usageError{&api.Problem{Code: "OH-CLI-ADDRESS", What: fmt.Sprintf("%q is not an address", c.base), Where: where, Fix: "give it like " + defaultAPI}}
	}
	c.base = strings.TrimSuffix(c.base, "/")
	return c, nil
}

// get decodes the answer of path with a query into v.
func (c client) get(ctx context.Context, path string, query url.Values, v any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, v)
}

// do sends a body, unless it is nil, and decodes the answer into v, unless that is nil.
func (c client) do(ctx context.Context, method, path string, body []byte, v any) error {
	return c.doWith(ctx, method, path, body, nil, v)
}

// change sends what, unless it is nil, as JSON, to replace what has an ETag, unless
// that is "", and decodes the answer into v.
func (c client) change(ctx context.Context, method, path string, what any, etag string, v any) error {
	header := http.Header{}
	var body []byte
	if what != nil {
		var err error
		if body, err = json.Marshal(what); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		header.Set("If-Match", etag)
	}
	return c.doWith(ctx, method, path, body, header, v)
}

func (c client) doWith(ctx context.Context, method, path string, body []byte, header http.Header, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errors.New("no answer in time"))
	defer cancel()
	answer, err := c.send(ctx, method, path, body, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if v == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return &api.Problem{Code: "OH-CLI-ANSWER", What: c.who + " answered something else: " + err.Error(), Where: c.base + path, Fix: "check the address: " + c.fix}
	}
	return nil
}

// send returns the answer if it is a success.
func (c client) send(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.refused(method+" "+c.base+path, answer)
}

func (c client) unreachable(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return &api.Problem{Code: "OH-CLI-UNREACHABLE", What: c.who + " does not answer: " + err.Error(), Where: c.base, Fix: c.fix}
}

// refused turns an error answer into a problem: the API's own, or what the
// simulators say ({"error": text} or {"error": {"message": text}}).
func (c client) refused(where string, answer *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	var p api.Problem
	if json.Unmarshal(data, &p) == nil && p.Code != "" {
		return &p
	}
	var body struct{ Error json.RawMessage }
	var message string
	if json.Unmarshal(data, &body) == nil && json.Unmarshal(body.Error, &message) != nil {
		var inner struct{ Message string }
		_ = json.Unmarshal(body.Error, &inner) // anything else leaves it empty
		message = inner.Message
	}
	if message != "" {
		return &api.Problem{Code: "OH-CLI-REFUSED", What: message, Where: where, Fix: "correct what was asked for; --help has examples"}
	}
	return &api.Problem{Code: "OH-CLI-REFUSED", What: c.who + " answered " + answer.Status, Where: where, Fix: "check names and address, or " + c.fix}
}

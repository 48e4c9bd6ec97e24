package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

// atOnce is how many requests of a sweep graph-poller has under way.
const atOnce = 4

// reader reads the presences of up to 650 users and says how many there were.
type reader func(ctx context.Context, users []identity.User) (int, error)

// sweepOnce is the process that sweeps: a job comes in, a result goes out.
func sweepOnce(ctx context.Context, in io.Reader, out io.Writer) error {
	var job sweepJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("sweep job: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(job.CA) {
		return errors.New("sweep job: no certificate authority")
	}
	open := plain
	if job.SDK {
		open = sdk
	}
	read, err := open(ctx, job, roots)
	if err != nil {
		return err
	}
	var users []identity.User
	for _, id := range job.Users {
		users = append(users, identity.User(id))
	}
	var x sweepResult
	var total atomic.Int64
	x.Before, _ = resident("self")
	cpu := cpuTime()
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for chunk := range slices.Chunk(users, graph.MaxPresences) {
		g.Go(func() error {
			n, err := read(gctx, chunk)
			total.Add(int64(n))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	x.Took, x.Read = time.Since(began), int(total.Load())
	x.CPU = cpuTime() - cpu
	_, x.Resident = resident("self")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	x.Heap, x.Allocated = size(memory.HeapAlloc), size(memory.TotalAlloc)
	return json.NewEncoder(out).Encode(x)
}

// sdk reads through libs/graph/msgraph, which is Microsoft's SDK.
func sdk(_ context.Context, job sweepJob, roots *x509.CertPool) (reader, error) {
	cloud, err := graph.CloudNamed("")
	if err != nil {
		return nil, err
	}
	if cloud, err = cloud.At(job.URL, job.URL); err != nil {
		return nil, err
	}
	client, err := msgraph.New(msgraph.Config{
		Tenant: benchTenant, Directory: job.Directory, ClientID: benchApp, Cloud: cloud, Secret: secret.NewValue(job.Secret), Roots: roots,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, users []identity.User) (int, error) {
		found, _, err := client.Presences(ctx, users)
		return len(found), err
	}, nil
}

// plain is the floor: the request and the members that are needed of the answer.
func plain(ctx context.Context, job sweepJob, roots *x509.CertPool) (reader, error) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: atOnce, DisableCompression: true,
	}}
	post := func(ctx context.Context, path, kind, token string, body io.Reader, answer any) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, job.URL+path, body)
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", kind)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: status %d", path, resp.StatusCode)
		}
		return json.NewDecoder(resp.Body).Decode(answer)
	}
	var granted struct {
		Token string `json:"access_token"`
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {benchApp}, "client_secret": {job.Secret}, "scope": {"https://graph.microsoft.com/.default"}}
	if err := post(ctx, "/"+job.Directory+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", "", strings.NewReader(form.Encode()), &granted); err != nil {
		return nil, err
	}
	return func(ctx context.Context, users []identity.User) (int, error) {
		body, err := json.Marshal(map[string]any{"ids": users})
		if err != nil {
			return 0, err
		}
		var answer struct {
			Value []graph.Presence `json:"value"`
		}
		err = post(ctx, "/v1.0/communications/getPresencesByUserId", "application/json", granted.Token, bytes.NewReader(body), &answer)
		return len(answer.Value), err
	}, nil
}

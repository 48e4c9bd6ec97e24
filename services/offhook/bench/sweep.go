package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

func sweepTable() Table {
	return Table{
		Name: "sweep", Run: measureSweep,
		What: "Reading everyone's presence once as graph-poller does, 650 a request and four at a time, in a process of its own, against a simulated tenant on the same CPUs. Floor: the same requests with net/http and encoding/json.",
		Aim:  "100,000 users well within the 10 s of a sweep",
	}
}

// sweepJob is what the process that sweeps is told.
type sweepJob struct {
	SDK       bool     `json:"sdk"` // false: the floor
	URL       string   `json:"url"` // of login and Graph
	CA        []byte   `json:"ca"`
	Directory string   `json:"directory"`
	Secret    string   `json:"secret"` // of the simulated app
	Users     []string `json:"users"`
}

// sweepResult is what it measured.
type sweepResult struct {
	Took time.Duration `json:"took"`
	CPU  time.Duration `json:"cpu"`
	Read int           `json:"read"`
	// Resident is the most memory that the process had, Before what it had when it
	// knew the users' ids and had read nothing.
	Resident  size `json:"resident"`
	Before    size `json:"before"`
	Heap      size `json:"heap"`      // live and dead at the end
	Allocated size `json:"allocated"` // in all
}

func measureSweep(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"users", "by", "took", "CPU", "CPU per user", "most memory (RSS)", "before", "heap at its end", "allocated", "requests"}}
	if len(b.Child) == 0 {
		return r, errors.New("no command line for the process that sweeps")
	}
	for _, users := range b.Sizes.Sweeps {
		if err := b.sweep(ctx, &r, users); err != nil {
			return r, fmt.Errorf("%d users: %w", users, err)
		}
	}
	return r, nil
}

// sweep measures the SDK and the floor for one size of tenant.
func (b *Bench) sweep(ctx context.Context, r *Report, users int) error {
	password := "simulated-" + fmt.Sprint(time.Now().UnixNano())
	sim, err := graphsim.Start(ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{{
		DirectoryID: benchDirectory, Domain: "contoso.example", Users: users,
		Apps: []graphsim.App{{ClientID: benchApp, Secret: secret.NewValue(password)}},
	}}})
	if err != nil {
		return err
	}
	defer func() { _ = sim.Close() }()
	job := sweepJob{URL: sim.GraphURL(), CA: sim.Authority().PEM(), Directory: benchDirectory, Secret: password, Users: sim.Tenant("contoso").UserIDs()}
	var results [2]sweepResult
	for i, by := range []string{"SDK", "net/http"} {
		job.SDK = i == 0
		before := reads(sim)
		if results[i], err = b.child(ctx, job); err != nil {
			return fmt.Errorf("%s: %w", by, err)
		}
		x := results[i]
		requests := reads(sim) - before
		r.row(users, by, x.Took, x.CPU, x.CPU/time.Duration(users), x.Resident, x.Before, x.Heap, x.Allocated, requests)
		r.check(x.Read == users, "%s read %d of %d users", by, x.Read, users)
		r.check(requests == (users+graph.MaxPresences-1)/graph.MaxPresences, "%s: %d requests for %d users", by, requests, users)
	}
	r.note("%d users: the SDK takes %s of the floor's CPU time.", users, text(percent(float64(results[0].CPU)/float64(results[1].CPU))))
	return nil
}

// reads counts the presence requests that were answered.
func reads(sim *graphsim.Server) int {
	return sim.Requests().Of("POST", "/v1.0/communications/getPresencesByUserId", 200)
}

// child runs a job in a process of its own.
func (b *Bench) child(ctx context.Context, job sweepJob) (sweepResult, error) {
	var x sweepResult
	in, err := json.Marshal(job)
	if err != nil {
		return x, err
	}
	c := exec.CommandContext(ctx, b.Child[0], append(b.Child[1:len(b.Child):len(b.Child)], "sweep-client")...)
	var out, complaint bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &complaint
	if err := c.Run(); err != nil {
		return x, fmt.Errorf("%w: %s", err, complaint.String())
	}
	return x, json.Unmarshal(out.Bytes(), &x)
}

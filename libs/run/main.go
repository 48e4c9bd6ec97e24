package run

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"offhook.dev/libs/config"
)

// Main is a service's main function: configuration from --config and the
// environment, signals into a context, and an exit code: 0 stopped as asked, 1
// broken, 2 wrong usage or configuration.
func Main(part Part) {
	os.Exit(main(part, os.Args[1:]))
}

func main(part Part, args []string) int {
	flags := flag.NewFlagSet(string(part.Name), flag.ContinueOnError)
	path := flags.String("config", "", "configuration `file`; every key can also be set as OFFHOOK_...")
	health := flags.Bool("health", false, "ask the running service whether it is ready: exit 0 if so, 1 if not")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	checks := Checks(part)
	if !*health {
		checks = append(checks, needsBroker(part))
	}
	c, err := config.Load(*path, os.Environ(), nil, checks...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "OH-CONFIG %v\n", err)
		return 2
	}
	if *health {
		if err := AskReady(context.Background(), c.Telemetry.MetricsListen); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Process(ctx, c, Options{Name: string(part.Name), Instance: Instance(), LogTo: os.Stderr}, part); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// needsBroker finds that a service which is a process of its own has no broker.
func needsBroker(part Part) config.Check {
	return func(c config.Config) []config.Problem {
		if !c.NATS.URL.IsZero() {
			return nil
		}
		return []config.Problem{{Key: "nats.url", What: string(part.Name) + " alone needs a broker",
			Fix: "set nats.url (or OFFHOOK_NATS_URL), or run everything in one process with `offhook run`"}}
	}
}

// askTimeout bounds AskReady: an answer that takes longer is none.
const askTimeout = 3 * time.Second

// AskReady asks the process that answers /readyz at a listen address of this machine
// whether it is ready; if not, the error says what is failing. It is the health check
// of containers without a shell.
func AskReady(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errors.New("no answer in time"))
	defer cancel()
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens there as well
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // what there is of it is enough
		return fmt.Errorf("health: not ready (%d): %s", response.StatusCode, bytes.TrimSpace(why))
	}
	return nil
}

// Instance names this process: OFFHOOK_INSTANCE, else the host name. It is the same
// after a restart, so that a service resumes its own leases at once.
func Instance() string {
	if name := os.Getenv("OFFHOOK_INSTANCE"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "local"
	}
	return name
}

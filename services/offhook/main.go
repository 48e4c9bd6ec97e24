// Command offhook is the command line: see package cli.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/services/offhook/cli"
)

func main() {
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler)) // it warns of closed connections; what matters reaches us as errors
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

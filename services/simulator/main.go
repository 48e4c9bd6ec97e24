// Command simulator runs a simulated Microsoft 365 tenant and phone system for
// services in other processes: see package simulator.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"offhook.dev/services/simulator/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(simulator.Main(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

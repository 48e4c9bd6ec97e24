package api

import (
	"context"

	"offhook.dev/libs/config"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is the service as a part of a process.
func Part() run.Part {
	return run.Part{Name: topology.ControlAPI, Start: func(ctx context.Context, d run.Deps, c config.Config) error {
		return Run(ctx, d, Options{
			Listen: c.Control.Listen, GRPCListen: c.Control.GRPCListen,
			OnListening: func(http, grpc string) { d.Log.Info("listening", "http", http, "grpc", grpc) },
		})
	}}
}

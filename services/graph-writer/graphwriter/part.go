package graphwriter

import (
	"context"

	"offhook.dev/libs/config"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is this service as a part of a process.
func Part() run.Part {
	return run.Part{Name: topology.GraphWriter, Start: func(ctx context.Context, d run.Deps, c config.Config) error {
		opts, err := FromConfig(c, d.Hot, d.Meter)
		if err != nil {
			return err
		}
		return Run(ctx, d, opts)
	}}
}

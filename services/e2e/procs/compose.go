package procs

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Load reads a compose file as `docker compose` does: unknown keys, dependencies
// that are not there and wrong values are errors. environment is what .env would
// set; services of other profiles are among the project's disabled ones.
func Load(ctx context.Context, file string, environment map[string]string, profiles ...string) (*types.Project, error) {
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: environment,
	}, func(o *loader.Options) {
		o.SetProjectName("offhook", true)
		o.Profiles = profiles
	})
	if err != nil {
		return nil, fmt.Errorf("compose file: %w", err)
	}
	return project, nil
}

// Service returns which of our services a container runs, or "" for somebody
// else's image.
func Service(c types.ServiceConfig) string {
	if c.Build == nil || c.Build.Args["SERVICE"] == nil {
		return ""
	}
	return *c.Build.Args["SERVICE"]
}

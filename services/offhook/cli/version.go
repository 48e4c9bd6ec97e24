package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what `offhook version` prints.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Time     string `json:"time"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion() *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "Print build data", Args: cobra.NoArgs,
		Example: "  offhook version -o json",
	}
	format := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		b := buildData()
		if format.json() {
			return printJSON(c.OutOrStdout(), b)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "offhook %s (%s %s) %s %s\n", b.Version, b.Revision, b.Time, b.Go, b.Platform)
		return err
	}
	return c
}

// buildData is what the Go toolchain has noted in the binary.
func buildData() build {
	b := build{Version: "devel", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

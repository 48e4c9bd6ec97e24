// Command pbx-writer runs the service of that name alone: see package writer.
package main

import (
	"log/slog"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/run"
	"offhook.dev/services/pbx-writer/writer"
)

func main() {
	// The SIP library warns of closed connections on a logger of its own; what matters
	// reaches us as errors.
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	run.Main(writer.Part())
}

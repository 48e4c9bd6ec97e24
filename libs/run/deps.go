package run

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/hot"
)

// Deps is what every service is given. Each service has its own Bus connection, so
// that its name and permissions on the broker are its own.
type Deps struct {
	// Instance names this process among the replicas of its service: the holder of
	// leases. It must survive a restart (host name or StatefulSet ordinal).
	Instance string
	Bus      *bus.Bus
	Hot      hot.Store
	Log      *slog.Logger
	Tracer   trace.Tracer
	Meter    metric.Meter
	Health   *Health
}

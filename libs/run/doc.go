// Package run is how a service runs: configuration, broker, telemetry, health and
// an orderly end. A service is a function that blocks; run.Main gives a process to
// one, run.Together runs several in one process. Both hand over the same Deps, so
// that a service cannot tell the difference.
package run

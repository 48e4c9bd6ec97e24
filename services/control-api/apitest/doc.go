// Package apitest runs the control API for tests: a real service on a real broker,
// with facts, decisions and outcomes published by hand, as the other services do.
package apitest

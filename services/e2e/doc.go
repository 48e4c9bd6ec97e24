// Package e2e tests Offhook as a whole: all services, a real broker, and simulated
// sides that speak the documented protocols.
package e2e

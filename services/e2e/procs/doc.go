// Package procs runs the containers of docker-compose.yml as processes of this
// machine, for tests on machines without Docker: each service's own binary with the
// command, environment, configuration and volumes that the file gives it, a real
// nats-server and a real redis-server.
//
// What differs from containers is what one table and one rule say: an address
// "container:port" becomes a free loopback port (listens), and a path of a container
// becomes one under the test's folder. Of the network and of the images nothing is
// tried.
//
// A Stack ends with its test. Its methods fail the test instead of returning errors,
// and may be called by the test's own goroutine only; Process and Simulator may be
// shared.
package procs

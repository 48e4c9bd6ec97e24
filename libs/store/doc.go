// Package store keeps durable state in JetStream key-value buckets.
//
// Every change of a value that others may change too is a compare-and-set on the
// revision that was read; the loser gets a fault of kind Conflict, reads again and
// decides again. One service writes each bucket (libs/topology says which); the
// others watch it. Leases (lease.go) decide who works on what.
package store

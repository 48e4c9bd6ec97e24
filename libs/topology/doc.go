// Package topology is the architecture as one table: which service produces and
// which consumes every subject, which stream keeps it and how, and which bucket
// belongs to whom. Streams, permissions, the README's table and the tests that
// hold the design all derive from it. A new flow that does not show up here as a
// changed line is hidden coupling.
package topology

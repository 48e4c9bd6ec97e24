// Package hottest is the suite that every hot.Store passes, in memory or in Redis:
// callers must not be able to tell them apart.
//
// A World runs a case in the time in which the store lives: virtual for one in
// memory, real for a server. Cases only move time with Harness.Advance.
package hottest

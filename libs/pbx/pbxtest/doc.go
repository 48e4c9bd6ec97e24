// Package pbxtest is the one conformance suite for drivers of phone systems.
//
// A driver's test makes a Harness: a phone system that the suite can look at and
// disturb from behind, not through the driver, and calls Run. Nothing in it is
// skipped but what a driver does not declare, so a driver that cannot be
// simulated cannot be accepted.
//
// The cases are plain functions over the small interface T, so that the suite can
// be run against drivers that are broken on purpose (Check): each case has a
// mutant that fails it and no other, which shows that it is awake.
package pbxtest

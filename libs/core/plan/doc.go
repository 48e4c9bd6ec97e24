// Package plan holds what every synchronisation shows before it does it: the changes
// that turn what is into what should be, the policies and the brake that limit them,
// and the digest by which a plan that has become stale is recognised.
//
// It knows nothing of extensions or contacts, and has no clock: id, basis and times of
// a plan are the caller's.
package plan

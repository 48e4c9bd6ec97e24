package sippresence

import (
	"context"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Publication is what is known about one extension's publication for an event.
type Publication struct {
	Extension identity.Extension `json:"extension"`
	Event     Event              `json:"event"`
	ETag      string             `json:"etag"`    // "": the server has none of ours
	Status    presence.Status    `json:"status"`  // Unset: unknown, an answer was lost
	Expires   time.Time          `json:"expires"` // when the server forgets it

	// hearsay: it was kept by an earlier process, and the server has not confirmed it
	// yet. It may be older than the last thing that the earlier process published.
	hearsay bool
}

// unpublished is what is known where nothing is published.
func unpublished(ext identity.Extension, event Event) Publication {
	return Publication{Extension: ext, Event: event}
}

// living says whether the server can still have it.
func (p Publication) living(now time.Time) bool { return p.ETag != "" && !p.over(now) }

// over says whether its lifetime has ended.
func (p Publication) over(now time.Time) bool { return over(p.Expires, now) }

// over says whether a time has come, by either clock: the monotonic one stands still while
// a machine sleeps, and the other one can be set back.
func over(at, now time.Time) bool { return !at.After(now) || !at.Round(0).After(now.Round(0)) }

// Publications keeps publications over restarts of Offhook. It is an optimisation:
// what it loses, or is late to keep, costs one question, one 412 or a second publication
// that dies by itself. It need not know of what others have published since: what it holds
// is prolonged only if the server shows it.
type Publications interface {
	// All returns what was kept, called once by Open.
	All(ctx context.Context) ([]Publication, error)
	// Keep and Forget replace and remove the publication of an extension for an event.
	// They are called in order for each, must not block, and have no error because
	// nobody could do anything about it.
	Keep(Publication)
	Forget(identity.Extension, Event)
	// Close makes sure that everything is kept, called once when nothing is published
	// any more.
	Close() error
}

// forgetful is the default.
type forgetful struct{}

func (forgetful) All(context.Context) ([]Publication, error) { return nil, nil }
func (forgetful) Keep(Publication)                           {}
func (forgetful) Forget(identity.Extension, Event)           {}
func (forgetful) Close() error                               { return nil }

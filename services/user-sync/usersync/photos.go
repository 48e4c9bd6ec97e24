package usersync

import (
	"context"
	"slices"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// photos hands pictures on to the extensions of whom they show. They are read for users
// with extensions only, and again when somebody gets one, or lacks the one that they should
// have: which picture an extension has is remembered when the phone system has taken it.
func (s *Sync) photos(ctx context.Context) error {
	return s.deps.Bus.Consume(ctx, bus.Consumer{
		Stream: topology.Pages, Durable: "user-sync-photos", Workers: 1, InFlight: 4, Patience: 5 * time.Minute,
		Filters: []string{topology.Wildcard("m365.fact.photo.<tenant>.<user>")},
	}, func(ctx context.Context, m bus.Message) error {
		photo, err := wire.DecodePhoto(m.Data)
		if err != nil {
			return err
		}
		return s.between(ctx, func(ctx context.Context) error { return s.photo(ctx, photo) })
	})
}

func (s *Sync) photo(ctx context.Context, photo wire.Photo) error {
	record := s.records.of(photo.Person).Record
	next := record
	for _, owned := range record.Owned {
		if owned.PhotoDue && owned.Photo == photo.ETag { // it is the old one again
			owned.PhotoDue = false
			next = next.Put(owned)
		}
		info, known := s.facts.system(owned.Line.System)
		if !owned.Active() || !known || info.Photo == 0 || owned.Photo == photo.ETag || !s.mayHave(photo.Person.Tenant, owned) {
			continue
		}
		want := wire.PhotoWant{Person: photo.Person, Line: owned.Line, ETag: photo.ETag, MIME: photo.MIME, Image: photo.Image}
		subject, data := want.Encode()
		if err := s.opts.effects.Around("picture", func() error { return s.publish(ctx, subject, data) }); err != nil {
			return err
		}
	}
	return s.records.store(ctx, "album", map[identity.Person]links.Record{photo.Person: next})
}

// mayHave says whether an extension is given another picture. A picture is a change like
// any other: what the policy forbids by itself is done only where an order found it due,
// and what it forbids in every plan never is.
func (s *Sync) mayHave(tenant identity.Tenant, owned directory.Record) bool {
	rules, known := s.opts.Rules[tenant]
	if !known || !rules.Photos {
		return false
	}
	if !rules.on() {
		return owned.PhotoDue
	}
	return plan.Policy(rules.Policy).Allows(plan.Update)
}

// notePhotos remembers which extensions have got which pictures since the last time.
func (s *Sync) notePhotos(ctx context.Context) error {
	next := s.records.changing()
	for line, is := range s.sent.photosSet() {
		for _, owned := range next.of(is.person).Owned {
			// One that was noted is no news, and another may be due since; one that was set
			// before the number was chosen is not on this extension.
			if owned.Line == line && owned.Photo != is.etag && !is.at.Before(owned.Since) {
				owned.Photo, owned.PhotoDue = is.etag, false
				next.put(is.person, next.of(is.person).Put(owned))
			}
		}
	}
	return s.records.store(ctx, "album", next.changed)
}

// missing notes which extensions of those for whom a run is due have not got the pictures
// that they should have, so that these are read and sent once more.
func (s *Sync) missing(ctx context.Context, p planned, d demand) error {
	if info, _ := s.facts.system(p.system); info.Photo == 0 || len(d.due) == 0 {
		return nil
	}
	for photos := range slices.Chunk(p.result.Photos, portion) {
		next := s.records.changing()
		for _, photo := range photos {
			for _, owned := range next.of(photo.Person).Owned {
				if owned.Line == photo.Line && owned.Active() && d.isDue(photo.Person.Tenant) {
					owned.PhotoDue = true
					next.put(photo.Person, next.of(photo.Person).Put(owned))
				}
			}
		}
		if err := s.records.store(ctx, "album", next.changed); err != nil {
			return err
		}
	}
	return nil
}

package usersync

import (
	"context"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// photos hands pictures on to the extensions of whom they show. They are read for users
// with extensions only, and again when somebody gets one.
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
	record := s.records.known[photo.Person].Record
	next := record
	for _, owned := range record.Owned {
		info, known := s.facts.system(owned.Line.System)
		if !owned.Active() || !known || info.Photo == 0 || owned.Photo == photo.ETag {
			continue
		}
		want := wire.PhotoWant{Person: photo.Person, Line: owned.Line, ETag: photo.ETag, MIME: photo.MIME, Image: photo.Image}
		subject, data := want.Encode()
		if _, err := s.deps.Bus.Publish(ctx, bus.Message{Subject: subject, Data: data}); err != nil {
			return err
		}
		owned.Photo = photo.ETag
		next = next.Put(owned)
	}
	return s.records.store(ctx, map[identity.Person]links.Record{photo.Person: next})
}

package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/topology"
)

// Layout says how the topology's streams and buckets are made on this broker.
type Layout struct {
	// Replicas of each stream: 1 on a single broker, 3 on a cluster.
	Replicas int
	// LeaseTTL is how long a lease outlives its last renewal. 0: 10 s.
	LeaseTTL time.Duration
}

// Apply makes every stream and bucket of the topology, and updates those whose
// settings are older. It is idempotent; every service calls it at its start.
func (b *Bus) Apply(ctx context.Context, l Layout) error {
	if l.Replicas == 0 {
		l.Replicas = 1
	}
	for _, info := range topology.Streams() {
		if _, err := b.js.CreateOrUpdateStream(ctx, streamConfig(info, l)); err != nil {
			return classify(fmt.Sprintf("bus: make stream %s", info.Name), err)
		}
	}
	for _, info := range topology.Buckets() {
		for _, part := range info.Name.Parts() {
			if _, err := b.js.CreateOrUpdateKeyValue(ctx, bucketConfig(info, part, l)); err != nil {
				return classify("bus: make bucket "+part, err)
			}
		}
	}
	return b.SyncClock(ctx)
}

func streamConfig(s topology.StreamInfo, l Layout) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: string(s.Name), Description: s.Meaning, Subjects: topology.SubjectsOf(s.Name),
		Storage: jetstream.FileStorage, Replicas: l.Replicas, MaxAge: s.MaxAge, AllowDirect: true,
		Duplicates: s.Dedupe, AllowMsgSchedules: s.Schedules, AllowMsgTTL: s.Schedules,
		Metadata: map[string]string{"app": "offhook"},
	}
	switch s.Keeping {
	case topology.Newest:
		c.MaxMsgsPerSubject = 1
	case topology.Queue:
		c.Retention = jetstream.WorkQueuePolicy
		c.Discard, c.DiscardNewPerSubject = jetstream.DiscardNew, !s.Replace
		c.MaxMsgsPerSubject, c.MaxBytes = s.MaxPerSubject, s.MaxBytes
	}
	// persist_mode async needs a single broker and excludes replication.
	if !s.Synced && l.Replicas == 1 {
		c.PersistMode = jetstream.AsyncPersistMode
	}
	return c
}

func bucketConfig(k topology.BucketInfo, part string, l Layout) jetstream.KeyValueConfig {
	c := jetstream.KeyValueConfig{
		Bucket: part, Description: k.Meaning, History: 1, Replicas: l.Replicas,
		Metadata: map[string]string{"app": "offhook"},
	}
	if k.Name == topology.Leases {
		c.TTL = l.LeaseTTL
		if c.TTL == 0 {
			c.TTL = 10 * time.Second
		}
	}
	return c
}

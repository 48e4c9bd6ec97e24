package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
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
// settings are others. It is idempotent; every service calls it at its start. What is
// as it should be is left alone: an update is work for each replica of the broker, and
// while a stream is updated others use it.
func (b *Bus) Apply(ctx context.Context, l Layout) error {
	if l.Replicas == 0 {
		l.Replicas = 1
	}
	made, err := b.made(ctx)
	if err != nil {
		return err
	}
	for _, info := range topology.Streams() {
		c := streamConfig(info, l)
		if have, ok := made[c.Name]; ok && sameConfig(have, c) {
			continue
		}
		if _, err := b.js.CreateOrUpdateStream(ctx, c); err != nil {
			return classify(fmt.Sprintf("bus: make stream %s", info.Name), err)
		}
	}
	for _, info := range topology.Buckets() {
		for _, part := range info.Name.Parts() {
			c := bucketConfig(info, part, l)
			if have, ok := made["KV_"+part]; ok && sameBucket(have, c) {
				continue
			}
			if _, err := b.js.CreateOrUpdateKeyValue(ctx, c); err != nil {
				return classify("bus: make bucket "+part, err)
			}
		}
	}
	return b.SyncClock(ctx)
}

// made returns the settings of the streams that there are, by their names.
func (b *Bus) made(ctx context.Context) (map[string]jetstream.StreamConfig, error) {
	made := map[string]jetstream.StreamConfig{}
	list := b.js.ListStreams(ctx)
	for info := range list.Info() {
		made[info.Config.Name] = info.Config
	}
	if err := list.Err(); err != nil {
		return nil, classify("bus: list streams", err)
	}
	return made, nil
}

// sameConfig says whether a stream is as we would make it.
func sameConfig(have, want jetstream.StreamConfig) bool {
	return reflect.DeepEqual(filled(have), filled(want))
}

// filled is a stream's settings with what the broker makes of those that are not given
// (nats-server, checkStreamCfg).
func filled(c jetstream.StreamConfig) jetstream.StreamConfig {
	for _, limit := range []*int64{&c.MaxMsgs, &c.MaxBytes, &c.MaxMsgsPerSubject} {
		*limit = cmp.Or(*limit, -1)
	}
	c.MaxConsumers, c.MaxMsgSize = cmp.Or(c.MaxConsumers, -1), cmp.Or(c.MaxMsgSize, -1)
	if c.Duplicates == 0 {
		c.Duplicates = 2 * time.Minute
		if c.MaxAge > 0 {
			c.Duplicates = min(c.Duplicates, c.MaxAge)
		}
	}
	c.Metadata = maps.Clone(c.Metadata)
	maps.DeleteFunc(c.Metadata, func(key, _ string) bool { return strings.HasPrefix(key, "_nats.") }) // the broker's own
	return c
}

// sameBucket says whether a bucket's stream has the settings that we give a bucket.
func sameBucket(have jetstream.StreamConfig, want jetstream.KeyValueConfig) bool {
	return have.Description == want.Description && have.MaxMsgsPerSubject == int64(want.History) && have.MaxAge == want.TTL &&
		have.Replicas == want.Replicas && have.Storage == want.Storage && have.Metadata["app"] == want.Metadata["app"]
}

func streamConfig(s topology.StreamInfo, l Layout) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: string(s.Name), Description: s.Meaning, Subjects: topology.SubjectsOf(s.Name),
		Storage: jetstream.FileStorage, Replicas: l.Replicas, MaxAge: s.MaxAge, AllowDirect: true,
		Duplicates: s.Dedupe, AllowMsgSchedules: s.Schedules, AllowMsgTTL: s.Schedules, AllowRollup: s.Schedules,
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

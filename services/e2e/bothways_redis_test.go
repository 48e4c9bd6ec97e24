package e2e

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/world"
)

// While people change on both sides Redis forgets everything, is killed, stays away for
// a while and comes back empty. In the end phones and Teams show what an oracle says that
// knows of neither Redis nor Offhook, nothing was written twice, and then there is
// silence.
func TestRedisForgettingAndDyingChangesNothingInEitherDirection(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	if redis == nil {
		return
	}
	const people = 60
	w := world.New(t, world.Options{Users: people, Webhook: true, Mode: presence.Both, Redis: "redis://" + redis.address})
	w.Start()
	w.Settled(people)
	n := newTown(t, w, people)

	n.flow("before")
	if redis.ask(t, "DBSIZE") == "0" {
		t.Fatal("there is nothing in Redis: nothing will be forgotten")
	}
	redis.ask(t, "FLUSHALL")
	n.flow("forgotten")
	if redis.ask(t, "DBSIZE") == "0" {
		t.Fatal("Redis is not used any more")
	}
	redis.kill()
	n.flow("without Redis")
	redis.run(t)
	n.flow("a new Redis")
	w.Eventually(30*time.Second, func() string {
		if redis.ask(t, "DBSIZE") == "0" {
			return "the new Redis is not used"
		}
		return ""
	})
	redis.ask(t, "FLUSHALL")
	n.ends()
	n.controls(func() { w.Stop("pbx-writer"); w.Stop("graph-writer") })
}

package topology

import (
	"fmt"
	"hash/fnv"
)

// Flow is one kind of message: where it travels, who makes it, who acts on it.
type Flow struct {
	// Subject is a pattern: literal words, <variables> of one token each.
	Subject string
	Stream  Stream
	Produce []Service
	// Consume lists the services that act on it. Reading a newest message back to
	// compare it with what one is about to publish is not consuming: it triggers
	// nothing.
	Consume []Service
	// OwnQueue marks a subject that a service puts aside for itself, to answer
	// first and work afterwards.
	OwnQueue bool
	Meaning  string
}

// Flows lists all messages, in the order in which a change travels.
func Flows() []Flow {
	all := []Service{WebhookReceiver, GraphPoller, UserSync, ContactSync, PresenceMapper, PBXWriter, GraphWriter}
	return []Flow{
		{Subject: "in.<tenant>.<resource>", Stream: Ingress, Produce: []Service{WebhookReceiver}, Consume: []Service{WebhookReceiver}, OwnQueue: true,
			Meaning: "a POST of Graph, answered 202 because it is stored here"},
		{Subject: "m365.hint.<kind>.<tenant>.<id>", Stream: Hints, Produce: []Service{WebhookReceiver}, Consume: []Service{GraphPoller},
			Meaning: "a notification without usable content: read it"},
		{Subject: "m365.fact.presence.<tenant>.<user>", Stream: Facts, Produce: []Service{WebhookReceiver, GraphPoller}, Consume: []Service{PresenceMapper, ControlAPI},
			Meaning: "a user's Teams presence"},
		{Subject: "m365.fact.calendar.<tenant>.<user>", Stream: Facts, Produce: []Service{GraphPoller}, Consume: []Service{PresenceMapper},
			Meaning: "when a user is busy, out of office or elsewhere"},
		{Subject: "m365.fact.sweep.<tenant>.<shard>", Stream: Facts, Produce: []Service{GraphPoller}, Consume: []Service{PresenceMapper, ControlAPI},
			Meaning: "when everyone of a shard was last read"},
		{Subject: "m365.fact.user.<tenant>.<user>", Stream: Directory, Produce: []Service{GraphPoller}, Consume: []Service{UserSync, ControlAPI},
			Meaning: "a user of the directory"},
		{Subject: "m365.fact.photo.<tenant>.<user>", Stream: Pages, Produce: []Service{GraphPoller}, Consume: []Service{UserSync},
			Meaning: "a photo that the user's extensions do not have yet"},
		{Subject: "m365.fact.contacts.<tenant>.<mailbox>", Stream: Pages, Produce: []Service{GraphPoller}, Consume: []Service{ContactSync},
			Meaning: "a page of a mailbox's contacts, in order"},
		{Subject: "m365.fact.group.<tenant>.<group>", Stream: Directory, Produce: []Service{GraphPoller}, Consume: []Service{PresenceMapper, UserSync, ControlAPI},
			Meaning: "who is in a group that options, priorities or the choice of users name"},
		{Subject: "pbx.fact.inventory.<system>.<ext>", Stream: Directory, Produce: []Service{PBXWriter}, Consume: []Service{UserSync},
			Meaning: "an extension of a phone system"},
		{Subject: "pbx.fact.system.<system>", Stream: Directory, Produce: []Service{PBXWriter}, Consume: []Service{UserSync, ContactSync, ControlAPI},
			Meaning: "what a phone system can take of people and phonebooks"},
		{Subject: "pbx.fact.status.<system>.<ext>", Stream: Facts, Produce: []Service{PBXWriter}, Consume: []Service{PresenceMapper, ControlAPI},
			Meaning: "what an extension shows, and who set it"},
		{Subject: "pbx.fact.call.<system>.<ext>", Stream: Facts, Produce: []Service{PBXWriter}, Consume: []Service{PresenceMapper},
			Meaning: "in how many calls an extension is"},
		{Subject: "timer.<tenant>.<user>", Stream: Timers, Produce: []Service{PresenceMapper},
			Meaning: "schedule of the next look at a user; the broker turns it into a fire"},
		{Subject: "fire.<tenant>.<user>", Stream: Timers, Consume: []Service{PresenceMapper},
			Meaning: "time to look at a user again"},
		{Subject: "decision.<tenant>.<user>", Stream: Decisions, Produce: []Service{PresenceMapper}, Consume: []Service{ControlAPI},
			Meaning: "why a user's extensions should show what they should"},
		{Subject: "pbx.want.status.<system>.<ext>", Stream: Wants, Produce: []Service{PresenceMapper}, Consume: []Service{PBXWriter},
			Meaning: "the status an extension should show"},
		{Subject: "m365.want.presence.<tenant>.<user>", Stream: Wants, Produce: []Service{PresenceMapper}, Consume: []Service{GraphWriter},
			Meaning: "what Teams should show of a user's calls and choices"},
		{Subject: "pbx.want.inventory.<system>", Stream: Wants, Produce: []Service{UserSync}, Consume: []Service{PBXWriter},
			Meaning: "extensions to be listed anew, before a run goes by them"},
		{Subject: "pbx.want.extension.<system>.<ext>", Stream: Changes, Produce: []Service{UserSync}, Consume: []Service{PBXWriter},
			Meaning: "what an extension should be, or that it should not be"},
		{Subject: "pbx.want.photo.<system>.<ext>", Stream: Changes, Produce: []Service{UserSync}, Consume: []Service{PBXWriter},
			Meaning: "the photo that an extension should have"},
		{Subject: "pbx.want.contact.<system>.<owner>.<chunk>", Stream: Changes, Produce: []Service{ContactSync}, Consume: []Service{PBXWriter},
			Meaning: "changes of a phonebook, in order"},
		{Subject: "outcome.extension.<system>.<ext>", Stream: Outcomes, Produce: []Service{PBXWriter}, Consume: []Service{UserSync, ControlAPI},
			Meaning: "what came of a change of an extension"},
		{Subject: "outcome.photo.<system>.<ext>", Stream: Outcomes, Produce: []Service{PBXWriter}, Consume: []Service{UserSync},
			Meaning: "what came of a photo"},
		{Subject: "outcome.contact.<system>.<owner>.<chunk>", Stream: Outcomes, Produce: []Service{PBXWriter}, Consume: []Service{ContactSync, ControlAPI},
			Meaning: "what came of changes of a phonebook, one by one, with the ids given"},
		{Subject: "outcome.<system>.<ext>", Stream: Outcomes, Produce: []Service{PBXWriter}, Consume: []Service{ControlAPI},
			Meaning: "what the writer did with a want, and why"},
		{Subject: "outcome.presence.<tenant>.<user>", Stream: Outcomes, Produce: []Service{GraphWriter}, Consume: []Service{PresenceMapper, ControlAPI},
			Meaning: "what came of a want for Teams, and what of ours shows there"},
		{Subject: "order.account.<tenant>.<id>", Stream: Orders, Produce: []Service{ControlAPI}, Consume: []Service{GraphPoller},
			Meaning: "let a person sign an account in that holds a lane, or give one up"},
		{Subject: "outcome.account.<tenant>.<id>", Stream: Outcomes, Produce: []Service{GraphPoller}, Consume: []Service{ControlAPI},
			Meaning: "how far an order about an account is: the code to enter, and how it ended"},
		{Subject: "order.read.<tenant>.<id>", Stream: Orders, Produce: []Service{ControlAPI}, Consume: []Service{GraphPoller},
			Meaning: "read users or contacts now"},
		{Subject: "order.users.<tenant>.<id>", Stream: Orders, Produce: []Service{ControlAPI}, Consume: []Service{UserSync},
			Meaning: "plan changes of extensions, or apply a plan"},
		{Subject: "order.contacts.<tenant>.<id>", Stream: Orders, Produce: []Service{ControlAPI}, Consume: []Service{ContactSync},
			Meaning: "plan changes of phonebooks, or apply a plan"},
		{Subject: "outcome.sync.<tenant>.<id>", Stream: Outcomes, Produce: []Service{GraphPoller, UserSync, ContactSync}, Consume: []Service{ControlAPI},
			Meaning: "how far an order about users or contacts is"},
		{Subject: "m365.fact.lane.<tenant>.<account>", Stream: Facts, Produce: []Service{GraphPoller}, Consume: []Service{ControlAPI},
			Meaning: "whether a lane tells of changes, or why not"},
		{Subject: "parked.<stream>.<service>", Stream: ParkedMsg, Produce: all, Consume: []Service{ControlAPI},
			Meaning: "a message that could not be processed"},
	}
}

// Bucket is the name of a key-value bucket.
type Bucket string

// The buckets.
const (
	Links         Bucket = "links"
	Plans         Bucket = "plans"
	Books         Bucket = "books"
	BookPlans     Bucket = "bookplans"
	Memory        Bucket = "memory"
	Ledger        Bucket = "ledger"
	Pins          Bucket = "pins"
	Options       Bucket = "options"
	Cursors       Bucket = "cursors"
	Subscriptions Bucket = "subscriptions"
	Certificates  Bucket = "certificates"
	Lanes         Bucket = "lanes"
	Accounts      Bucket = "accounts"
	Leases        Bucket = "leases"
)

// BucketInfo says who writes a bucket. Everyone else watches it.
type BucketInfo struct {
	Name    Bucket
	Writes  []Service // one, leases excepted
	Reads   []Service
	Meaning string
}

// parts are the buckets that are kept in more than one stream. A stream has one fsync
// under way at a time, a disk does many at once: what is written for every change of
// everyone would else wait in one line (docs/benchmarks.md, `boundary`). The numbers are
// for good: a key that is looked for in another part is not found.
var parts = map[Bucket]int{Memory: 8, Ledger: 8}

// Parts are the names under which the broker keeps a bucket.
func (b Bucket) Parts() []string {
	n := parts[b]
	if n == 0 {
		return []string{string(b)}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", b, i)
	}
	return names
}

// Part is the one of Parts, by its index, that has a key.
func (b Bucket) Part(key string) int {
	n := parts[b]
	if n == 0 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32() % uint32(n))
}

// Buckets lists all buckets. All are synced.
func Buckets() []BucketInfo {
	return []BucketInfo{
		{Links, []Service{UserSync}, []Service{PresenceMapper, PBXWriter, GraphPoller, ContactSync, ControlAPI}, "which user is which extension, and which extensions are ours"},
		{Plans, []Service{UserSync}, []Service{ControlAPI}, "plans for extensions, and how far they are applied"},
		{Books, []Service{ContactSync}, []Service{GraphPoller}, "which entries of phonebooks are ours: source, id there, fingerprint; and which mailboxes have to be read whole"},
		{BookPlans, []Service{ContactSync}, []Service{ControlAPI}, "plans for phonebooks, and how far they are applied"},
		{Memory, []Service{PresenceMapper}, []Service{ControlAPI}, "what is known of a user and was decided last"},
		{Ledger, []Service{PBXWriter}, nil, "what was written to an extension, and what a person chose there"},
		{Pins, []Service{GraphWriter}, nil, "what Offhook itself made Teams show, and until when"},
		{Options, []Service{ControlAPI}, []Service{PresenceMapper, GraphPoller}, "modes and options of tenants, groups and users; choices and pauses asked for in Offhook"},
		{Cursors, []Service{GraphPoller}, nil, "how far each delta query was read"},
		{Subscriptions, []Service{GraphPoller}, []Service{WebhookReceiver}, "Graph subscriptions: key, clientState hash, certificate"},
		{Lanes, []Service{GraphPoller}, []Service{ControlAPI}, "who is on which presence subscription of a delegated account"},
		{Accounts, []Service{GraphPoller}, nil, "delegated accounts that have signed in; their refresh tokens are sealed"},
		{Certificates, []Service{WebhookReceiver}, []Service{GraphPoller}, "under which Graph encrypts notifications; the private keys are sealed"},
		{Leases, []Service{GraphPoller, GraphWriter, PBXWriter, PresenceMapper, UserSync, ContactSync, WebhookReceiver}, nil, "who owns which share of the work"},
	}
}

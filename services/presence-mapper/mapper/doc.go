// Package mapper is the service presence-mapper: it decides, for each person, what
// their lines should show and why (libs/core/presence), remembers it, and wants it.
//
// Replicas share the facts and keep nothing of their own: what is known of a person
// is one value in the bucket `memory`, changed by compare-and-set. The order of a
// handling is fixed: schedule the timer, set the memory, publish the wants over
// older ones, and only then ack; the loser of a compare-and-set starts again, so
// the last timer belongs to the last memory. Every handling ends by comparing the
// wants derived from memory with those in the stream, whether or not memory
// changed; the minute pass does so for everyone.
package mapper

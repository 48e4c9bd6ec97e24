// Package bus carries messages between services over NATS JetStream.
//
// Guarantees: Publish returns after JetStream stored the message, never before.
// PublishOver stores it only if the newest message of the subject is still the
// one the caller has seen (compare and set). Consume hands every message to the
// handler at least once; messages with the same key are handled one after the
// other within one consumer, others in parallel.
//
// Duties of the caller: handlers are idempotent (an ack can be lost, a consumer
// can step back after a kill), and return an error classified by libs/core/fault.
// One table in verdict.go turns that error into ack, retry, park or halt; nobody
// else acks.
package bus

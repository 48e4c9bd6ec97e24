// Package receiver is the service webhook-receiver: Graph's callback.
//
// At the door (door.go) nothing is believed and nothing takes long: size, key and
// clientState are checked, what is left is stored, and only then Graph gets its 202.
// If it cannot be stored Graph gets 503 at once and tries again. Whatever else is
// wrong is answered 202 with an empty body, so that an attacker learns nothing;
// the cause is in a metric. Behind the queue (open.go) tokens are validated against
// the subscription's own tenant, contents are decrypted, and facts or hints leave.
package receiver

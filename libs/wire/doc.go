// Package wire is the only bridge between messages on the broker (protobuf,
// proto/offhook/event/v1) and our own types. Every message type has Encode, which
// gives its subject and payload, and a Decode function that refuses what is not
// one of ours with a fault of kind Invalid. Unknown enum values and fields are
// tolerated, so that a newer service can speak to an older one.
package wire

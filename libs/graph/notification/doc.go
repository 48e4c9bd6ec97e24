// Package notification reads what Microsoft Graph posts to us: collections of
// change and lifecycle notifications, the validation tokens that come with
// encrypted ones, and their content.
//
// Everything in a post is hostile until proven otherwise, and the proofs come in
// this order: the size; Decode, which keeps good items apart from bad ones; each
// item's clientState (Item.Authentic), which is all that the public endpoint
// checks before it stores the item and answers 202; behind the queue
// Verifier.Verify for encrypted items, then Keys.Presence. A step must not run
// before the one in front of it has passed.
//
// The tenant of an item is the tenant of its subscription as we stored it, never
// what the post says. A token is not bound to the body that it came with, so a
// verified notification is still only a hint that is fresher than the next poll.
//
// https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
// https://learn.microsoft.com/graph/change-notifications-with-resource-data
package notification

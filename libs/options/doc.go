// Package options holds what an administrator may change while Offhook runs: modes,
// mappings and policies of a tenant, of a group and of a user, over those of the
// configuration file; and what a person asked Offhook for, a status or a pause.
//
// The bucket `options` is written by control-api alone; presence-mapper and
// graph-poller watch it through a Mirror and use a change with their next decision.
// A status that was set and a pause are states with an end, not orders: they survive
// a restart, are seen and withdrawn like every other option, and coming twice they
// are the same.
//
// The layers, each over the one before, key by key: the configuration, the tenant,
// the groups of the user (of two that say different things the one of the lower
// rank, then of the smaller id, wins), the user. Pauses are the exception: the one
// that ends last counts, so that nobody is taken out of the pause of a tenant.
//
// Who is in a group comes from graph-poller as facts in the stream DIRECTORY
// (RunMembers). Groups are taken by their members, those of groups in them included;
// what is not known of a group yet concerns nobody.
//
// Guarantees: what cannot be read, or says something that this build does not know,
// changes nothing; what was in force stays. A record is written only after Check
// found nothing, so a Mirror that skips a key of it is older than its writer.
package options

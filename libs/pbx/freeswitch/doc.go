// Package freeswitch drives FreeSWITCH 1.10, alone or under FusionPBX, through its event
// socket (mod_event_socket): statuses, lamps, the list of users, and calls.
//
// FreeSWITCH has no statuses of users. What an event PRESENCE_IN says is told to the phones
// that watch, kept nowhere and answered to nobody. So a status is kept where FreeSWITCH can
// be asked for it and where the dialplan sees it (Config.Profile), and shown by lamps
// besides:
//
//	           kept in                                   written, read   forgotten
//	plain      mod_hash: realm/EXT@DOMAIN = the status   all five        when FreeSWITCH restarts
//	directory  a variable of the user in the directory,  available, dnd  never
//	           written by a command of the administrator's
//	fusionpbx  the same; the cache of the directory is flushed, and lamps of dnd+EXT follow
//
// mod_hash and lamps are forgotten together, and what is forgotten is presence.Unset, so
// that a restart is noticed and repaired. When a phone begins to watch, or does so again,
// FreeSWITCH asks what is to be shown (PRESENCE_PROBE); while there is a Watch, it is the
// one that answers, with a lamp, if the status that is kept is one that lights it.
//
// A write is one round trip, but several commands: what keeps the status, and a PRESENCE_IN
// for each lamp. That an extension exists is asked once for a connection (user_exists), and
// known from every listing; one that is deleted afterwards is noticed with the next.
//
// A call is a channel whose Channel-Call-State is ACTIVE, HELD or UNHELD; whose it is says
// its presence id, or its name where it has none. Channels are read with `show channels as
// json` after the subscription and again with every beat. What is read there may lag behind
// the events, so that an event of the last seconds counts more.
//
// Duties of the caller: the pace, which pbx.System keeps, and connecting again.
package freeswitch

// Package portsip drives PortSIP PBX v22, 22.0 to 22.6, as the administrator of one
// tenant, through its REST interface (/api) and its websocket for events (/wsi).
//
// An administrator can switch do-not-disturb on and off for others (the member
// enable_dnd of a user) and nothing else: presences are each user's own. So there are
// three ways to treat statuses, one for a phone system (Config.Statuses):
//
//	           written                          read
//	dnd        available, dnd: enable_dnd       available, dnd: enable_dnd, of all with a few requests
//	presence   available, dnd: enable_dnd       all five: presence and enable_dnd, a request for each user
//	own        all five: presence, with a note  as with presence, of the users whose accounts are known
//
// Whether enable_dnd changes the presence as well is not documented; each way is true
// to itself whichever it is. A phone that is away or in a call hides its presence
// (OFFLINE, ON_CALL, OTHER_CALL, RINGING): it counts as available unless enable_dnd
// is on. How all users are read with few requests is found out by Open: lists may tell
// enable_dnd, or can be filtered by it, which is believed only if both counts together
// are everybody; else each user is asked.
//
// A change of a user is read, modified and written whole, because whether a member that
// is not named stays as it is is not documented either, and a phone system that takes it
// for nothing would lose where calls go. That is two requests for a status; where
// somebody has tried it (docs/drivers/portsip.md), Config.Partial makes it one.
//
// An extension is a user, its department a group of that name in which it is and which
// its member department names, its marker a member of the JSON text custom_options. An
// entry of a phonebook is a contact; what a contact has no place for is in its notes.
// Personal phonebooks need the accounts of their owners. There is no way for an
// administrator to set the picture of somebody else: pbx.Photos is as the users, too.
//
// Of changes a watch is told over the websocket (Config.Events ByWebsocket), where Offhook
// can reach it, or by requests of the phone system to Config.Webhook. Those come late, twice
// and in any order, so that they are only reasons to read.
//
// The phone system takes 10,000 requests a minute from everybody together since 22.1. Whatever is
// sent waits for its part of that (Config.PerSecond), and listings and watches leave some of it to
// others: a call of pbx.System may be several requests, and those of a watch are none of its calls.
// Duties of the caller: how many calls there are at a time, which pbx.System keeps.
package portsip

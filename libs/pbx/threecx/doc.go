// Package threecx drives 3CX V20 through its Configuration API (XAPI), OData 4
// over HTTPS at /xapi/v1.
//
// A status is the active forwarding profile of a user: reading is a GET of
// CurrentProfileName, writing a PATCH of it. The names of the profiles are read
// from the phone system when the driver is made, because administrators rename
// them. Which profile is active also decides where calls go; what each means for
// ringing is Capabilities().Powers.Ring.
//
// Duties of the administrator: an Enterprise licence; a service principal
// (Integrations, API) with XAPI access and a role that may change users; our
// address outside the block lists and console restrictions. Duties of the
// caller: one driver per client id and phone system (a new access token may end
// the one before). Two requests are in flight at the most, whatever a watch has to read
// meanwhile (Config.InFlight); a pbx.System in front keeps its calls to the same pace.
//
// Calls come from the Call Control API (/callcontrol), which needs the box "Call
// Control" ticked at the service principal and the extensions chosen that it may
// monitor; whoever is not chosen is never in a call. Its websocket says which
// participant of which extension changed, but not how, so that is read; and
// everything is read again when a message is missing, and now and then anyway. A
// participant that is connected or dials is a call; one that rings is none yet. Where
// there is no Call Control, or not for this client, the driver does not watch, and says why
// (Capabilities().NoWatch); whatever else fails is for the watch to find out, again and again.
//
// There is no push for statuses and no expiry. Versions 20.0.8 to 20.0.10 differ
// in the unit of expires_in, which is why the token's own "exp" decides, in the names
// of what deletes contacts, and in personal phonebooks, which came with 20.0.9. What a
// phone system has of these it says itself (/xapi/v1/swagger.yaml, asked for once); where
// it does not, its version does.
//
// An extension is a Pbx.User, its department a Pbx.Group, its marker a property of the
// DN, an entry of a phonebook a Pbx.Contact whose Tag says that it is ours. There is
// neither a transaction nor a code for most refusals, so what takes several requests
// is done in an order that can be completed later (department, user, marker), and why
// something was refused is found out afterwards. Lists are replaced whole by a change;
// one that is not certain to have been read whole is not written.
package threecx

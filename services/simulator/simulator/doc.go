// Package simulator is a Microsoft 365 tenant and a phone system to try everything
// against: Graph and its login over HTTPS (libs/graph/graphsim), a 3CX over HTTPS
// (libs/pbx/pbxsim), and one plain-HTTP control interface for both, which `offhook
// sim` drives. `offhook dev` starts it in its own process, cmd simulator alone.
//
// The phone system has one extension for each of the tenant's first users: 100 and
// on, with the same names and mail addresses, so that they link by mail.
//
// Guarantees: when Start returns, everything listens and the files that a
// configuration names (CA, certificate, secrets) are complete. The same seed gives
// the same people. Nothing but those files is kept; the app's certificate is
// reused if it is there already.
//
// Duties of the caller: the control interface asks for no credentials. It answers
// only requests that name a loopback host or one of Options.Hosts; keep it on
// loopback or in a private network.
package simulator

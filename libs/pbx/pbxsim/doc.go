// Package pbxsim is a phone system to try drivers and services against: one Sim
// is one system, reached over HTTPS through the face that its vendor documents.
//
// There is one face so far, that of 3CX V20 (its Configuration API, "XAPI", and its
// Call Control API, which shows calls and has a websocket). It
// answers what the driver uses as the vendor's description says and refuses the
// rest: an unknown field, an unknown profile name, a dead token. What is not
// known about the real one is a switch in Config.
//
// From behind, a Sim is an open book. Methods and a control handler show and set
// what extensions show, as a person at the phone would; inject faults; and keep
// the ledger: every write that arrived, numbered, with its time and connection,
// so that a test can count what was lost or done twice. Nothing is persisted.
package pbxsim

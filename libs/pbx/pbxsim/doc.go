// Package pbxsim is a phone system to try drivers and services against: one Sim
// is one system, reached over HTTPS through the face that its vendor documents.
//
// There is one face so far, that of 3CX V20 (its Configuration API, "XAPI", and its
// Call Control API, which shows calls and has a websocket). It
// answers what the driver uses as the vendor's description says and refuses the
// rest: an unknown field, an unknown profile name, a number that is taken or changed,
// a department that there is not, a dead token. Lists are replaced whole, and an answer
// with a secret in it is counted. Versions differ as the vendor's did (20.0.9 renamed
// what deletes contacts and brought personal phonebooks). What is not known about the
// real one is a switch in Config.
//
// From behind, a Sim is an open book. Methods and a control handler show and set
// what extensions show, as a person at the phone would; inject faults; and keep
// the ledgers: every write that arrived, numbered, with its time,
// so that a test can count what was lost or done twice. Nothing is persisted.
package pbxsim

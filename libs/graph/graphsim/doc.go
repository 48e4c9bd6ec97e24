// Package graphsim is a Microsoft 365 tenant in a box: Entra's token endpoint and
// the part of Microsoft Graph that Offhook speaks to, over real HTTPS, in one
// process, without a network.
//
// It behaves as Microsoft documents, and where the documents leave a question open
// it has a switch (Switches), so that a program can be tried against every answer.
// What goes wrong in the field is a Fault that can be asked for at any time.
//
// Guarantees:
//   - The same Config gives the same users with the same ids in every run.
//   - What a reader sees is never older than a SetPresence or a change of a meeting
//     that has returned. Presence sessions age and expire for every reader at their
//     instant, however late a timer is.
//   - Calendar is the truth about a user's time; series are expanded by the clock on
//     the wall of their zone. Everything that a made-up meeting says has Marker in
//     it, so that a leak can be searched for.
//   - What a client must never do though Graph answers it is in Violations.
//   - Every notification has a number and ends in exactly one column of the
//     Ledger; see Tally for the law that holds at every moment.
//   - Close returns after every delivery has ended and no port is open any more.
//
// Duties of the caller: keep it on loopback or in a private network. It accepts
// the credentials it was configured with, but its control interface (Control) asks
// for none. What a tenant holds lives in memory and is gone at the end.
package graphsim

// Package ami is a client of the Asterisk Manager Interface: lines of "Key: value" over
// TCP or TLS, messages that end with an empty line.
//
// A Conn is one session. It signs in by challenge, so that the secret never leaves this
// process, keeps a bounded number of actions in flight, finds the answer to each by its
// ActionID wherever it comes in the stream, and hands events to whoever asked for them.
// What would break the protocol (line ends in values, lines longer than Asterisk reads)
// is refused before anything is sent.
//
// A Conn does not repeat anything and does not connect again: once its connection has
// ended, every call fails with the reason. An error is one of these:
//
//	*Refusal         Asterisk answered "Response: Error"
//	*LostError       the connection ended; Sent says whether the action may have been done
//	ErrUnsendable    nothing was sent: the action cannot be written as a message
//	a context error  the caller gave up or ran out of time; nothing is known of the action
//
// A context error that is ErrLate as well is one of an action that was never sent.
package ami

// Package esl is a small client of FreeSWITCH's event socket (mod_event_socket, inbound
// mode): commands, background jobs and events over one TCP or TLS connection.
//
// The protocol has no ids: answers come in the order of the commands, with events in
// between. Conn therefore keeps the commands that are under way in a queue, at most
// Config.InFlight calls of them, and gives each answer to the first. An answer to a
// question that was never asked, and one of a kind that cannot answer the question, mean
// that the count is lost: the connection is given up, and whatever was under way has
// failed. So it is after anything that is no frame, too much of it, or silence for longer
// than Config.Timeout while an answer is due.
//
// What it guarantees: a command with a line break in it never leaves (it would be two
// commands). A call says whether it was sent (LostError), because what was sent may have
// been done. The password is in no error. Nothing is allocated because the other side
// merely announces it. What is received is handed on as UTF-8.
//
// Duties of the caller: to connect again, and to be done with an event soon (Config.Hear):
// nothing is read meanwhile.
package esl

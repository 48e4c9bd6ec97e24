// Package virtual runs the services of the flow with a real broker in virtual time:
// hours of a thousand people's lives in minutes. What cannot be in a bubble of
// testing/synctest is the network, so Graph is answered in the process, behind the
// poller's and the writer's clients, and the phone systems are the memory driver's.
// What webhook-receiver does behind its door is done here in a few lines.
package virtual

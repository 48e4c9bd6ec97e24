// Package directory says which extensions a phone system should have for the people
// of Microsoft 365, and which contacts its phonebooks: who is in scope, under which
// number, with which fields. It knows nothing of how either side is spoken to.
//
// The package is pure: no clock, no I/O. Plan compares what should be with what is
// and with what Offhook made before, and lists the changes; whoever applies them
// asks again afterwards, so that a run that was cut off anywhere goes on where it was.
package directory

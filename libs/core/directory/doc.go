// Package directory says which extensions a phone system should have for the people
// of Microsoft 365: who is in scope, under which number, with which fields. Of contacts
// it says what a phonebook has room for, and how an entry is known again. It knows nothing of how either side is spoken to.
//
// The package is pure: no clock, no I/O. PlanExtensions compares what should be with
// what is and with what Offhook made before, and lists the changes; whoever applies them
// asks again afterwards, so that a run that was cut off anywhere goes on
// where it was. That holds for who keeps this order:
//
//	extensions   store Result.Notes; for each step that acts and is not held store its
//	             Record, then send its Update, then store what it is once that is Sent;
//	             remove the records of Result.Forgets
//
// A number is somebody's from the moment in which their record is stored. An extension
// without a record, and an entry without a source, is somebody else's and in no step.
package directory

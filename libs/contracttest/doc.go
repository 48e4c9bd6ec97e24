// Package contracttest holds what passes between a client and a server against the
// OpenAPI file of the vendor whose protocol they speak. It is the judge of the
// simulators and of the clients alike: a mistake that both make is found here only.
//
// A Contract says in what an exchange differs from the file; a Gate stands between
// the two sides and asks it about everything that passes.
//
// The vendors' files are never part of the project. They are read from the folder
// shared/specs beside it; where that is absent Open returns nil, and the caller
// returns then. Under CI, which has it, absence fails. Duties of the caller: say
// where the wire is known to differ from the file (Beside, Spelling, Bodiless), and
// name every operation that must have been seen (Gate.Verdict).
package contracttest

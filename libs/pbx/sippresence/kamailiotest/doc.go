// Package kamailiotest runs a real Kamailio (https://www.kamailio.org, 5.6 or
// later, from Debian) as a presence server on loopback, and phones that watch it.
// It shares no code with the driver that it judges: what a document shows is read
// here a second time (Shown).
//
// The server needs nothing that is not in its packages, no root and no fixed port.
// It ends with the test. Where the program is missing Start fails the test if CI is
// set and otherwise says so and returns nil: the caller returns then.
package kamailiotest

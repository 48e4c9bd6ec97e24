// Package memory is the plainest correct driver: a phone system that is a map.
//
// It serves two purposes. Demonstrations and tests of the services use it where
// the wire does not matter; and whoever writes a driver copies it and replaces what
// speaks to the map by what speaks to the phone system (docs/drivers/writing.md). The
// parts that every driver has are all here: powers declared once, writes refused that
// are beyond them, contexts honoured, errors classified in one place; no retry, no
// pacing, no cache, no log.
//
// To copy: driver.go is what every driver has. people.go, books.go and watch.go are
// optional powers, each to be left out where the phone system has none such.
// phonesystem.go and office.go are the phone system, and not part of a driver.
package memory

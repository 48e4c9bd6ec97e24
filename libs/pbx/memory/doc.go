// Package memory is the plainest correct driver: a phone system that is a map.
//
// It serves two purposes. Demonstrations and tests of the services use it where
// the wire does not matter; and whoever writes a driver copies driver.go and
// replaces what speaks to the map by what speaks to the phone system. The parts
// that every driver has are all here: powers declared once, numbers checked,
// contexts honoured, errors classified in one place, no retry, no pacing, no
// cache, no log.
package memory

// Package freeswitchsim is a FreeSWITCH in a box: its event socket (mod_event_socket,
// inbound, plain or behind a TLS proxy) with a directory, mod_hash, channels and lamps, as
// far as the driver and its tests need them.
//
// It answers with the words of FreeSWITCH's source (1.10) and refuses what that refuses:
// wrong passwords, addresses outside the access list, commands that there are not, APIs
// that a user may not use, wrong arguments. Where versions and installations differ, or
// where nobody has tried it, Config says which answer it gives. Faults make it misbehave
// on purpose. Its own methods look at it and change it from behind.
package freeswitchsim

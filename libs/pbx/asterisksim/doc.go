// Package asterisksim is an Asterisk to try the driver and the services against: one Sim
// is one Asterisk with its database and its manager interface (AMI), over TCP and TLS.
//
// It follows Asterisk's source where that says what goes over the wire: signing in by
// challenge, the class of right that each action needs, the words of refusals, a line
// that is longer than its buffer, lists with their beginning and end, events between
// actions, states that are an event only when they change, and a database that is written
// to disk later than it says "success". Its dialplan is FreePBX's as far as it shows: a
// hint for each extension, AMPUSER, feature codes that set do-not-disturb. What is not
// known, or differs between versions, is a switch in Config.
//
// From behind, a Sim is an open book: methods show and set what is there as people and
// administrators would, inject faults, and count.
package asterisksim

package freeswitch

import (
	"crypto/sha256"
	"encoding/hex"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// look is how a status is shown to phones that watch.
type look struct {
	status string // a text for people
	rpid   string // RPID activity (RFC 4480); FreeSWITCH makes "busy" of "dnd"
	lit    bool   // the lamp is on
}

// looks of the statuses. mod_sofia says nothing of an activity where the text is
// "Available" (sofia_presence.c).
var looks = map[presence.Status]look{
	presence.Available:    {"Available", "unknown", false},
	presence.Away:         {"Away", "away", true},
	presence.DND:          {"Do Not Disturb", "dnd", true},
	presence.Lunch:        {"Lunch", "meal", true},
	presence.BusinessTrip: {"Business trip", "travel", true},
}

// lamps are the events that show a status: for phones that watch the extension, and under
// FusionPBX for those that watch its feature dnd+EXT, which is lit by do-not-disturb.
func lamps(c Config, ext identity.Extension, s presence.Status) []esl.Command {
	if c.NoLamps {
		return nil
	}
	shown := looks[s]
	all := []esl.Command{lamp("sip", c.address(ext), shown)}
	if c.Profile == FusionPBX {
		shown.lit = s == presence.DND
		all = append(all, lamp("dnd", c.address(ext), shown))
	}
	return all
}

// lamp is a PRESENCE_IN as FusionPBX fires it. To phones that watch dialogs it is a call
// that is confirmed or has ended.
func lamp(proto, address string, shown look) esl.Command {
	state := "terminated"
	if shown.lit {
		state = "confirmed"
	}
	return esl.SendEvent("PRESENCE_IN", esl.Header{Name: "proto", Value: proto}, esl.Header{Name: "login", Value: address}, esl.Header{Name: "from", Value: address},
		esl.Header{Name: "status", Value: shown.status}, esl.Header{Name: "rpid", Value: shown.rpid}, esl.Header{Name: "event_type", Value: "presence"},
		esl.Header{Name: "alt_event_type", Value: "dialog"}, esl.Header{Name: "event_count", Value: "1"}, esl.Header{Name: "unique-id", Value: dialogID(proto, address)},
		esl.Header{Name: "Presence-Call-Direction", Value: "outbound"}, esl.Header{Name: "answer-state", Value: state})
}

// dialogID is the id of the call that a lamp pretends: one for each lamp, so that its end
// is the end of the call that began. It has the form of a UUID and belongs to no channel.
func dialogID(proto, address string) string {
	sum := sha256.Sum256([]byte("offhook lamp " + proto + ":" + address))
	var id [36]byte
	hex.Encode(id[:8], sum[:4])
	hex.Encode(id[9:13], sum[4:6])
	hex.Encode(id[14:18], sum[6:8])
	hex.Encode(id[19:23], sum[8:10])
	hex.Encode(id[24:], sum[10:16])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	id[14], id[19] = '8', '8' // a UUID of one's own making (RFC 9562)
	return string(id[:])
}

package freeswitch

import (
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// noReply is what FreeSWITCH says of an API command that has printed nothing: here, that
// there is no value.
const noReply = "-ERR no reply"

// notCached is what mod_memcache says of a key that it does not have (memcached_strerror).
const notCached = "-ERR NOT FOUND"

// store is where statuses are kept.
type store interface {
	// powers are what can be kept.
	powers() presence.Set
	// read is the command that reads a status, and parse reads its reply.
	read(ext identity.Extension) esl.Command
	parse(op string, reply esl.Reply) (presence.Status, error)
	// write are the commands that write a status, lamps last, and written says what became
	// of it. Lamps do not count: what the dialplan obeys is kept without them, FreeSWITCH
	// 1.10 refuses no event (mod_event_socket.c, sendevent), and a write that is repeated
	// because of a lamp would light it no better.
	write(ext identity.Extension, s presence.Status) []esl.Command
	written(op string, replies []esl.Reply) error
}

func newStore(c Config) store {
	if c.Profile == Plain {
		return hash{c}
	}
	return variable{c}
}

// address is ext@domain.
func (c Config) address(ext identity.Extension) string { return string(ext) + "@" + c.Domain }

// hash keeps statuses in mod_hash.
type hash struct{ Config }

func (h hash) powers() presence.Set { return presence.All }

func (h hash) key(ext identity.Extension) string { return h.Realm + "/" + h.address(ext) }

func (h hash) read(ext identity.Extension) esl.Command {
	return esl.API("hash select/" + h.key(ext))
}

// parse: a value that is none of ours is no status.
func (h hash) parse(op string, reply esl.Reply) (presence.Status, error) {
	text := strings.TrimSpace(string(reply))
	switch {
	case text == "" || text == noReply:
		return presence.Unset, nil
	case reply.Refused():
		return presence.Unset, refusal(op, reply)
	}
	status, _ := presence.ParseStatus(text)
	return status, nil
}

func (h hash) write(ext identity.Extension, s presence.Status) []esl.Command {
	return append([]esl.Command{esl.API("hash insert/" + h.key(ext) + "/" + s.String())}, lamps(h.Config, ext, s)...)
}

func (h hash) written(op string, replies []esl.Reply) error { return kept(op, replies[0]) }

// dump is the command that reads all statuses at once.
func (h hash) dump() esl.Command { return esl.API("hash_dump db " + h.Realm) }

// parseDump reads the reply to it: lines D/realm_EXT@DOMAIN/value. Before 1.2 there is no
// realm, and what is printed are limits; ok is false then.
func (h hash) parseDump(reply esl.Reply) (all map[identity.Extension]presence.Status, ok bool) {
	all = make(map[identity.Extension]presence.Status)
	text := strings.TrimSpace(string(reply))
	if text == "" || text == noReply {
		return all, true
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line == "+OK" {
			continue
		}
		entry, ok := strings.CutPrefix(line, "D/")
		if !ok {
			return nil, false
		}
		entry, ok = strings.CutPrefix(entry, h.Realm+"_")
		if !ok {
			continue
		}
		address, value, _ := strings.Cut(entry, "/")
		if ext, ok := h.extension(address); ok {
			all[ext], _ = presence.ParseStatus(strings.TrimSpace(value)) // as parse has it
		}
	}
	return all, true
}

// extension is the extension of an address, if it is in the domain.
func (c Config) extension(address string) (identity.Extension, bool) {
	number, domain, _ := strings.Cut(address, "@")
	if !strings.EqualFold(domain, c.Domain) {
		return "", false
	}
	ext, err := identity.ParseExtension(number)
	return ext, err == nil
}

// variable keeps do-not-disturb in a variable of the directory.
type variable struct{ Config }

func (v variable) powers() presence.Set { return presence.SetOf(presence.Available, presence.DND) }

func (v variable) read(ext identity.Extension) esl.Command {
	return esl.API("user_data " + v.address(ext) + " var " + v.Variable)
}

// parse: what FreeSWITCH takes for true (switch_true) is do-not-disturb, and a variable
// that is not there is not.
func (v variable) parse(op string, reply esl.Reply) (presence.Status, error) {
	text := strings.TrimSpace(string(reply))
	switch {
	case text == noReply:
		return presence.Available, nil
	case reply.Refused():
		return presence.Unset, refusal(op, reply)
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on", "enable", "enabled", "active", "allow", "t", "1":
		return presence.DND, nil
	}
	return presence.Available, nil
}

func (v variable) write(ext identity.Extension, s presence.Status) []esl.Command {
	dnd := "false"
	if s == presence.DND {
		dnd = "true"
	}
	line := strings.NewReplacer("{ext}", string(ext), "{domain}", v.Domain, "{dnd}", dnd).Replace(v.Command)
	commands := []esl.Command{esl.API(line)}
	if v.Profile == FusionPBX {
		commands = append(commands, v.flush(ext))
	}
	return append(commands, lamps(v.Config, ext, s)...)
}

// flush takes a user out of FusionPBX's cache of the directory, where it may not be. Files
// are deleted by who listens for this event, as other machines of a cluster do; on a
// machine of its own the command has to do it.
func (v variable) flush(ext identity.Extension) esl.Command {
	if v.Cache == Memcache {
		return esl.API("memcache delete directory:" + v.address(ext))
	}
	return esl.SendEvent("CUSTOM", esl.Header{Name: "Event-Subclass", Value: "fusion::file"}, esl.Header{Name: "API-Command", Value: "cache"},
		esl.Header{Name: "API-Command-Argument", Value: "delete directory." + v.address(ext)})
}

func (v variable) written(op string, replies []esl.Reply) error {
	err := kept(op, replies[0])
	if err != nil || v.Profile != FusionPBX {
		return err
	}
	return flushed(op, replies[1])
}

// flushed says what became of a flush; what is not in the cache need not leave it. A
// refusal is a Timeout, whatever its own kind: Denied and Invalid promise that nothing was
// changed (pbx.Driver), but the variable is written, and shows as soon as the cache
// forgets. Who had been promised so would take it for a person's choice then. To write it
// once more, which a Timeout asks for, does no harm.
func flushed(op string, reply esl.Reply) error {
	if reply.Accepted() || strings.EqualFold(strings.TrimSpace(string(reply)), notCached) {
		return nil
	}
	return fault.Errorf(fault.Timeout, op, "the variable is written, but FusionPBX's cache still tells the old one: %w "+
		"(cache: memcache needs mod_memcache and the right to its API; else say cache: file, as FusionPBX's Default Settings do)", refusal("the flush", reply))
}

// kept says what became of the command that keeps a status.
func kept(op string, reply esl.Reply) error {
	if reply.Accepted() {
		return nil
	}
	if reply.Refused() && !strings.HasPrefix(string(reply), noReply) {
		if text := strings.ToLower(string(reply)); strings.Contains(text, "no such user") {
			return fault.Errorf(fault.NotFound, op, "FreeSWITCH answers %s", clean(string(reply)))
		}
		return refusal(op, reply)
	}
	// It has printed nothing, or something else: a script that ended early.
	return fault.Errorf(fault.Timeout, op, "the command does not say +OK, so nobody knows what it did")
}

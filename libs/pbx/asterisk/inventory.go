package asterisk

import (
	"context"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/asterisk/ami"
	"offhook.dev/libs/pbx/internal/charset"
)

// few is how many presences are read one by one rather than all there are.
const few = 20

// page is how many extensions are read before they are told.
const page = 100

// Statuses is a list of hints and, with presences, one of those; then an action for the
// switch of each extension, another where the connection has not met it yet, and another
// where its presence was not in the list.
func (d *Driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	const op = "asterisk: statuses"
	s, err := d.connected(ctx, op)
	if err != nil {
		return err
	}
	there, err := s.hints(ctx, op)
	if err != nil {
		return err
	}
	return d.statuses(ctx, op, s, slices.Sorted(maps.Keys(there)), yield)
}

// statuses reads what some show, and passes over those who are not there.
func (d *Driver) statuses(ctx context.Context, op string, s *session, exts []identity.Extension, yield func(identity.Extension, presence.Status) error) error {
	var presences map[string]shown
	if d.places.presence != "" && len(exts) > few {
		items, err := s.list(ctx, op, ami.NewAction("PresenceStateList"))
		if err != nil {
			return err
		}
		presences = make(map[string]shown, len(items))
		for _, m := range items {
			presences[m.Get("Presentity")] = presenceOf(m, "Status")
		}
	}
	return pages(ctx, op, s, exts, func(ext identity.Extension) (presence.Status, error) {
		return d.status(ctx, op, s, ext, presences)
	}, yield)
}

// pages reads something of each extension, page by page, and passes it on. Who turns out
// not to be there is passed over.
func pages[Row any](ctx context.Context, op string, s *session, exts []identity.Extension, read func(identity.Extension) (Row, error), yield func(identity.Extension, Row) error) error {
	for some := range slices.Chunk(exts, page) {
		rows, found := make([]Row, len(some)), make([]bool, len(some))
		err := each(len(some), func(i int) error {
			_, err := s.devices(ctx, op, some[i])
			if err == nil {
				found[i] = true
				rows[i], err = read(some[i])
			}
			if err != nil && fault.KindOf(err) == fault.NotFound {
				found[i] = false
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		for i, ext := range some {
			if found[i] {
				if err := yield(ext, rows[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Extensions has names from FreePBX, and names and mail addresses from voicemail boxes
// that have the number of the extension. An Asterisk has no extensions that are disabled.
func (d *Driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	const op = "asterisk: extensions"
	s, err := d.connected(ctx, op)
	if err != nil {
		return err
	}
	there, err := s.hints(ctx, op)
	if err != nil {
		return err
	}
	boxes, err := d.boxes(ctx, op, s)
	if err != nil {
		return err
	}
	return pages(ctx, op, s, slices.Sorted(maps.Keys(there)), func(ext identity.Extension) (directory.Extension, error) {
		e := boxes[ext]
		e.Number, e.Enabled = ext, true
		if d.config.Profile == Plain {
			return e, nil
		}
		name, found, err := s.entry(ctx, op, "AMPUSER", string(ext)+"/cidname")
		if found {
			e.FirstName, e.LastName, e.DisplayName = names(ext, name)
		}
		return e, err
	}, func(_ identity.Extension, e directory.Extension) error { return yield(e) })
}

// boxes reads the voicemail boxes, where there are any to be read.
func (d *Driver) boxes(ctx context.Context, op string, s *session) (map[identity.Extension]directory.Extension, error) {
	all := make(map[identity.Extension]directory.Extension)
	if !d.mail {
		return all, nil
	}
	items, err := s.list(ctx, op, ami.NewAction("VoicemailUsersList"))
	if err != nil {
		return nil, err
	}
	for _, m := range items {
		ext, err := identity.ParseExtension(m.Get("VoiceMailbox"))
		if err == nil && m.Get("VMContext") == d.config.Mailboxes {
			all[ext] = box(ext, m)
		}
	}
	return all, nil
}

// box is what the voicemail box of an extension says of whose it is.
func box(ext identity.Extension, m ami.Message) directory.Extension {
	var e directory.Extension
	e.Mail = charset.UTF8(m.Get("Email"))
	e.FirstName, e.LastName, e.DisplayName = names(ext, m.Get("Fullname"))
	return e
}

// names takes a name apart that is one text: the last word is the last name. The number
// stands for no name at all.
func names(number identity.Extension, text string) (first, last, display string) {
	text = strings.TrimSpace(charset.UTF8(text))
	if text == string(number) {
		return "", "", ""
	}
	if at := strings.LastIndex(text, " "); at > 0 {
		return strings.TrimSpace(text[:at]), text[at+1:], text
	}
	return "", text, text
}

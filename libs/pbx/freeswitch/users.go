package freeswitch

import (
	"fmt"
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// parseUsers reads what list_users prints: the names of the columns, a line for each user
// and group, an empty line and +OK (mod_commands.c). A user of several groups is there
// several times. Users who cannot be numbers of anybody are left out.
func parseUsers(text, domain string) ([]directory.Extension, error) {
	head, rest, ok := strings.Cut(text, "\n")
	columns := strings.Split(strings.TrimSpace(head), "|")
	number, where, name := slices.Index(columns, "userid"), slices.Index(columns, "domain"), slices.Index(columns, "effective_caller_id_name")
	if !ok || number < 0 || where < 0 {
		return nil, fmt.Errorf("%w: it is no list of users", errSenseless)
	}
	if !strings.HasSuffix(strings.TrimSpace(rest), "+OK") {
		return nil, fmt.Errorf("%w: the list of users has no end", errSenseless)
	}
	var all []directory.Extension
	seen := make(map[identity.Extension]bool)
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.TrimRight(line, "\r\n"), "|")
		if len(cells) <= max(number, where) || !strings.EqualFold(cells[where], domain) {
			continue
		}
		ext, err := identity.ParseExtension(cells[number])
		if err != nil || seen[ext] {
			continue
		}
		seen[ext] = true
		e := directory.Extension{Number: ext, Enabled: true}
		if name >= 0 && len(cells) == len(columns) { // a cell may have a bar in it
			e.DisplayName = clean(cells[name])
		}
		all = append(all, e)
	}
	return all, nil
}

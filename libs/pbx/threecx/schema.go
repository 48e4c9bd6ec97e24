package threecx

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"strings"
)

// schemaPath is where a 3CX describes its Configuration API: the OpenAPI document of the
// running version.
const schemaPath = "/swagger.yaml"

// The actions that come and go between versions.
const (
	deleteByID     = "/Contacts/Pbx.DeleteContactsById"  // since 20.0.9
	deleteBatch    = "/Contacts/Pbx.BatchContactsDelete" // up to 20.0.8
	personalList   = "/Contacts/Pbx.GetContactsByNumber"
	personalCreate = "/Contacts/Pbx.CreateContactByNumber"
)

// actions are those that the phone system has.
type actions struct {
	deletion string // of several entries: deleteByID, deleteBatch, or "" where there is neither
	personal bool   // personal phonebooks are listed and written
}

// findActions asks the phone system what it has. Where it does not say, its version
// does.
func (d *Driver) findActions(ctx context.Context) actions {
	if paths := d.readSchema(ctx); paths != nil {
		return actionsOf(paths)
	}
	return actionsSince(d.version)
}

// actionsSince are those of a version: 20.0.9 renamed what deletes contacts, and brought
// personal phonebooks.
func actionsSince(version string) actions {
	if before(version, 20, 0, 9) {
		return actions{deletion: deleteBatch}
	}
	return actions{deletion: deleteByID, personal: true}
}

func actionsOf(paths map[string]bool) actions {
	a := actions{personal: paths[personalList] && paths[personalCreate]}
	for _, name := range []string{deleteBatch, deleteByID} {
		if paths[name] {
			a.deletion = name
		}
	}
	return a
}

// readSchema reads the paths that the phone system describes, nil if it does not, or
// not now, or in a way that is not understood: what it has is then known by its version.
func (d *Driver) readSchema(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeoutCause(ctx, min(lookTime, d.wire.config.Timeout), errNoAnswer)
	defer cancel()
	answer, err := d.wire.send(ctx, "threecx: schema", http.MethodGet, root+schemaPath, nil, nil)
	if err != nil || answer.status != http.StatusOK {
		return nil
	}
	return parseSchema(answer.body)
}

// parseSchema returns the paths of an OpenAPI document in YAML as its generator writes
// it, without the arguments of functions ("/Contacts/Pbx.GetContactsByNumber", whatever
// follows in parentheses). It is nil if the text is no such document, or not all of one:
// paths are at the outermost level, what follows them (components) has begun, and users
// and contacts, which every version has, are among them. Whatever else the document has
// is not looked at.
func parseSchema(text []byte) map[string]bool {
	paths := make(map[string]bool)
	inside, ended := false, false
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, lineLimit)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \r")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] != ' ' {
			ended = ended || inside && line != "paths:"
			inside = line == "paths:"
			continue
		}
		name, isPath := strings.CutPrefix(line, "  ")
		if !inside || !isPath || name == "" || name[0] == ' ' {
			continue
		}
		name, isPath = strings.CutSuffix(name, ":")
		name = strings.Trim(name, `'"`)
		if !isPath || !strings.HasPrefix(name, "/") {
			continue
		}
		name, _, _ = strings.Cut(name, "(")
		paths[name] = true
	}
	if lines.Err() != nil || !ended || !paths["/Users"] || !paths["/Contacts"] {
		return nil
	}
	return paths
}

// lineLimit bounds a line of the document, whose longest are descriptions and patterns.
const lineLimit = 64 << 10

package doctor

import (
	"regexp"
	"strconv"
)

// oldest are the first versions that drivers are written for, as docs/drivers has them.
var oldest = map[string][]int{"3cx": {20, 0, 8}, "asterisk": {13}, "freeswitch": {1, 10}}

var digits = regexp.MustCompile(`\d+`)

// version says whether the phone system is one that the driver is written for. One that
// tells no version, or one in other words, is not judged.
func (p *patient) version() {
	const code = "OH-PBX-010"
	least, known := oldest[p.config.Driver]
	if !known {
		return
	}
	switch older, ok := before(p.can.Version, least); {
	case !ok:
		p.warn(p.group, code, "version", "it is not known", "see whether it is one of those in docs/drivers/"+p.config.Driver+".md")
	case older:
		p.warn(p.group, code, "version", p.can.Version+" is older than those that the driver is written for", "update the phone system: docs/drivers/"+p.config.Driver+".md says to what")
	default:
		p.ok(p.group, code, "the driver is written for this version")
	}
}

// server says what the server calls itself where there is no session, so that nothing tells
// it before the first answer.
func (p *patient) server() {
	told, ok := p.driver.(interface{ Server() string })
	if !ok {
		return
	}
	if name := told.Server(); name != "" {
		p.ok(p.group, "OH-PBX-010", "the server calls itself "+name)
	}
}

// before compares the numbers in a version with others; false if it has none. A version
// with fewer numbers has zeros.
func before(version string, other []int) (older, ok bool) {
	numbers := digits.FindAllString(version, len(other))
	if len(numbers) == 0 || version[0] < '0' || version[0] > '9' {
		return false, false
	}
	for i, want := range other {
		n := 0
		if i < len(numbers) {
			n, _ = strconv.Atoi(numbers[i])
		}
		if n != want {
			return n < want, true
		}
	}
	return false, true
}

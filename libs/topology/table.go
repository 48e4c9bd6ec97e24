package topology

import (
	"fmt"
	"strings"
)

// Markdown renders services, flows and buckets as the tables of the README.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| subject | stream | from | to | meaning |\n|---|---|---|---|---|\n")
	for _, f := range Flows() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Subject, f.Stream, names(f.Produce), names(f.Consume), f.Meaning)
	}
	b.WriteString("\n| stream | keeps | on disk before the ack | meaning |\n|---|---|---|---|\n")
	for _, s := range Streams() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Name, s.keeps(), yes(s.Synced), s.Meaning)
	}
	b.WriteString("\n| bucket | streams | written by | read by | meaning |\n|---|---|---|---|---|\n")
	for _, k := range Buckets() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", k.Name, len(k.Name.Parts()), names(k.Writes), names(k.Reads), k.Meaning)
	}
	return b.String()
}

func (s StreamInfo) keeps() string {
	switch s.Keeping {
	case Newest:
		return "newest per subject"
	case Queue:
		return "until dealt with"
	default:
		return fmt.Sprintf("%d days", int(s.MaxAge.Hours()/24))
	}
}

func names(services []Service) string {
	if len(services) == 0 {
		return "-"
	}
	words := make([]string, len(services))
	for i, s := range services {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

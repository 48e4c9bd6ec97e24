package bus

import (
	"strings"

	"offhook.dev/libs/topology"
)

// pattern is a flow's subject, taken apart once.
type pattern struct {
	words []string // "" where an id stands
	name  string
}

var patterns = compile()

func compile() []pattern {
	var all []pattern
	for _, f := range topology.Flows() {
		p := pattern{words: strings.Split(f.Subject, ".")}
		var fixed []string
		for i, word := range p.words {
			if strings.HasPrefix(word, "<") {
				p.words[i] = ""
			} else {
				fixed = append(fixed, word)
			}
		}
		p.name = strings.Join(fixed, ".")
		all = append(all, p)
	}
	return all
}

// flowOf names the kind of message for spans, logs and metrics: the literal words
// of its subject, without ids.
func flowOf(subject string) string {
	words := strings.Split(subject, ".")
	for _, p := range patterns {
		if p.matches(words) {
			return p.name
		}
	}
	return words[0]
}

func (p pattern) matches(words []string) bool {
	if len(words) != len(p.words) {
		return false
	}
	for i, word := range p.words {
		if word != "" && word != words[i] {
			return false
		}
	}
	return true
}

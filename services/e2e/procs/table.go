package procs

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/loopback"
)

// listens is the one table of what each container listens on. Addresses of
// containers that are not here are not rewritten, and they cannot be started.
var listens = map[string][]string{
	"nats":             {"4222", "8222"},
	"redis":            {"6379"},
	"prometheus":       {"9090"},
	"otel-collector":   {"4317"},
	"jaeger":           {"4317"},
	"simulator":        {"9443", "9444", "9480"},
	"webhook-receiver": {"8443", "9464"},
	"graph-poller":     {"9464"},
	"presence-mapper":  {"9464"},
	"user-sync":        {"9464"},
	"contact-sync":     {"9464"},
	"pbx-writer":       {"9464"},
	"graph-writer":     {"9464"},
	"control-api":      {"8080", "9090", "9464"},
}

// addresses maps "container:port" to an address on loopback.
type addresses map[string]string

// reserve finds a free port for each line of the table.
func reserve(t testing.TB) addresses {
	t.Helper()
	found := addresses{}
	for container, ports := range listens {
		for _, port := range ports {
			address, err := loopback.Address(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found[container+":"+port] = address
		}
	}
	return found
}

// within returns what replaces the addresses that a container's files and
// environment name: those of others, and its own by any name.
func (a addresses) within(container string) map[string]string {
	replaced := maps.Clone(map[string]string(a))
	for _, port := range listens[container] {
		own := a[container+":"+port]
		replaced["0.0.0.0:"+port], replaced["127.0.0.1:"+port] = own, own
	}
	return replaced
}

// replacer replaces the longest names first: /run/offhook/x before /run/offhook.
func replacer(replaced map[string]string) *strings.Replacer {
	names := slices.SortedFunc(maps.Keys(replaced), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name, replaced[name])
	}
	return strings.NewReplacer(pairs...)
}

// port splits a loopback address of the table.
func port(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(fmt.Sprintf("procs: %q was made by reserve", address))
	}
	return port
}

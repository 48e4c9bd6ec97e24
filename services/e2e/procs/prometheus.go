package procs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scrapeLoopback turns a Prometheus configuration that finds services by the names of
// the compose network into one with the same targets on loopback: there is no such DNS
// here. All else stays as it is.
func (s *Stack) scrapeLoopback(text []byte) []byte {
	s.t.Helper()
	var config map[string]any
	s.must(yaml.Unmarshal(text, &config))
	for _, job := range listOf(config["scrape_configs"]) {
		found := listOf(job["dns_sd_configs"])
		delete(job, "dns_sd_configs")
		var static []any
		for _, discovery := range found {
			for _, name := range discovery["names"].([]any) {
				address := s.Address(fmt.Sprintf("%s:%v", name, discovery["port"]))
				static = append(static, map[string]any{"targets": []any{address}, "labels": map[string]any{"__meta_dns_name": name}})
			}
		}
		job["static_configs"] = static
	}
	text, err := yaml.Marshal(config)
	s.must(err)
	return text
}

func listOf(value any) (list []map[string]any) {
	items, _ := value.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

// Target is what Prometheus says of something that it scrapes.
type Target struct {
	Labels    map[string]string `json:"labels"`
	Health    string            `json:"health"` // up, down or unknown
	LastError string            `json:"lastError"`
}

// Targets lists what the Prometheus of the stack scrapes.
func (s *Stack) Targets(ctx context.Context) ([]Target, error) {
	var answer struct {
		Data struct {
			ActiveTargets []Target `json:"activeTargets"`
		} `json:"data"`
	}
	return answer.Data.ActiveTargets, s.askPrometheus(ctx, "targets", nil, &answer)
}

// Query returns the values of an expression by its label service.
func (s *Stack) Query(ctx context.Context, expression string) (map[string]string, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"` // when, and what
			} `json:"result"`
		} `json:"data"`
	}
	if err := s.askPrometheus(ctx, "query", url.Values{"query": {expression}}, &answer); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, r := range answer.Data.Result {
		values[r.Metric["service"]] = strings.Trim(string(r.Value[1]), `"`)
	}
	return values, nil
}

func (s *Stack) askPrometheus(ctx context.Context, what string, parameters url.Values, answer any) error {
	return get(ctx, "http://"+s.Address("prometheus:9090")+"/api/v1/"+what+"?"+parameters.Encode(), answer)
}

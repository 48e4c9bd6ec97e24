package graphsim_test

import (
	"io"
	"net/http"
	"testing"

	"offhook.dev/libs/graph/graphsim"
)

// BenchmarkRichDelivery measures the simulator's own ceiling: how fast it makes,
// encrypts and posts rich notifications to a receiver that only reads. A benchmark
// of a receiver must stay well below it.
func BenchmarkRichDelivery(b *testing.B) {
	for name, batch := range map[string]int{"one a POST": 1, "hundred a POST": 100} {
		b.Run(name, func(b *testing.B) {
			s := start(b, func(c *graphsim.Config) { c.Delivery.Batch = batch })
			r := listen(b, s.Authority())
			s.subscribe(s.userToken("anna"), richSub(r.URL, appKeys()[1], s.contoso().UserIDs()...))
			r.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { _, _ = io.Copy(io.Discard, q.Body) })
			b.ResetTimer()
			_, err := s.contoso().Storm(b.Context(), graphsim.Storm{Changes: b.N})
			check(b, err)
			eventually(b, "all accepted", func() bool { return s.contoso().Ledger().Total.Accepted == b.N })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}

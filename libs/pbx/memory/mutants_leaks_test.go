package memory

import (
	"context"
	"sync/atomic"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// leakMutants leave something behind that ends with leak.
func leakMutants(leak <-chan struct{}) map[string]func(Full) mutant {
	forget := func() { go func() { <-leak }() }
	// watching leaves something of a watch that was cancelled before, or after, it had told
	// everything.
	watching := func(early bool) func(Full) mutant {
		return func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				synced := false
				err := d.Watch(ctx, func(e pbx.WatchEvent) {
					if _, ok := e.(pbx.Synced); ok {
						synced = true
					}
					sink(e)
				})
				if fault.KindOf(err) == fault.Cancelled && synced != early {
					forget()
				}
				return err
			}}
		}
	}
	return map[string]func(Full) mutant{
		"no goroutine is left after close": func(d Full) mutant {
			var other atomic.Bool // what a watch, or a cancelled call, left is another case's claim
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				other.Store(true)
				return d.Watch(ctx, sink)
			}, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
				s, err := d.Status(ctx, ext)
				if fault.KindOf(err) == fault.Cancelled {
					other.Store(true)
				}
				return s, err
			}, close: func() error {
				if !other.Load() {
					forget()
				}
				return d.Close()
			}}
		},
		"nothing is left of calls that were cancelled": func(d Full) mutant {
			return mutant{Full: d, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
				s, err := d.Status(ctx, ext)
				if fault.KindOf(err) == fault.Cancelled {
					forget() // whoever waits for the answer that nobody wants any more
				}
				return s, err
			}}
		},
		"nothing is left of a watch that was cancelled":                                watching(false),
		"a watch that is cancelled while it connects ends promptly and leaves nothing": watching(true),
	}
}

package memory

import (
	"context"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// dialMutants are those of cases about dialling.
func dialMutants() map[string]func(Full) mutant {
	rewrite := func(from fault.Kind, to func(error) error) func(Full) mutant {
		return func(d Full) mutant {
			return mutant{Full: d, dial: func(ctx context.Context, ext identity.Extension, number string) error {
				err := d.Dial(ctx, ext, number)
				if err != nil && fault.KindOf(err) == from {
					err = to(err)
				}
				return err
			}}
		}
	}
	return map[string]func(Full) mutant{
		"a number is called each time that it is dialled, for who dialled it": func(d Full) mutant {
			last := make(map[identity.Extension]string)
			return mutant{Full: d, dial: func(ctx context.Context, ext identity.Extension, number string) error {
				if strings.Contains(last[ext], "|"+number) {
					return nil // it was called already
				}
				err := d.Dial(ctx, ext, number)
				if err == nil {
					last[ext] += "|" + number
				}
				return err
			}}
		},
		"what is no number is invalid and never sent": func(d Full) mutant {
			return mutant{Full: d, dial: func(ctx context.Context, ext identity.Extension, number string) error {
				return d.Dial(ctx, ext, strings.ReplaceAll(number, "-", "")) // as people write it
			}}
		},
		"dialling for an extension that there is not is not found":      rewrite(fault.NotFound, as(fault.Invalid)),
		"dialling that was turned away is unavailable and calls nobody": rewrite(fault.Unavailable, as(fault.Timeout)),
		"dialling whose answer is lost is a timeout and one call":       rewrite(fault.Timeout, as(fault.Unavailable)),
	}
}

package portsip

import (
	"context"

	"golang.org/x/time/rate"

	"offhook.dev/libs/core/fault"
)

// patientShare is how much of the rate listings, and a watch, may have: the rest is always there
// for somebody whose status is to change.
const patientShare = 0.75

// budget is our part of the requests that the phone system takes from everybody together. Each
// request takes one of all, whatever it is for, so that no more of them leave in a minute
// than a minute's rate and a tenth of a second's.
type budget struct {
	all *rate.Limiter
	// patient is passed before all by those who ask much and are in no hurry. With few of
	// them at a time (askers) nobody else waits for more than a few requests.
	patient *rate.Limiter
}

func newBudget(perSecond float64) budget {
	burst := max(1, int(min(perSecond/10, pageSize)))
	return budget{rate.NewLimiter(rate.Limit(perSecond), burst), rate.NewLimiter(rate.Limit(patientShare*perSecond), 1)}
}

// take waits until one more request may be sent.
func (b budget) take(ctx context.Context, op string) error { return wait(ctx, op, b.all) }

// giveWay waits until one more request may be sent that is in no hurry. It has to be taken all
// the same.
func (b budget) giveWay(ctx context.Context, op string) error { return wait(ctx, op, b.patient) }

// wait fails at once where the deadline is nearer than the next free moment.
func wait(ctx context.Context, op string, limiter *rate.Limiter) error {
	err := limiter.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil:
		return fault.New(fault.Throttled, op, err)
	}
	return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
}

package doctor

import (
	"context"
	"errors"

	"offhook.dev/libs/pbx"
)

// licensee is a driver whose phone system tells of its licence.
type licensee interface {
	Licence(context.Context) (pbx.Licence, error)
}

// licence says whether the phone system's licence is active, and for how long.
func (p *patient) licence(ctx context.Context) {
	const code, check = "OH-PBX-013", "licence of the phone system"
	licensee, ok := p.driver.(licensee)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	told, err := licensee.Licence(ctx)
	renew := "look at the licence of the phone system: " + adviceFor(p.config.Driver).licence
	name := check
	if told.Product != "" {
		name += " " + told.Product
	}
	switch {
	case errors.Is(err, pbx.ErrLicence):
		p.problem(p.group, code, check, err, renew)
	case err != nil: // not everybody is told, and nothing depends on it
		p.warn(p.group, code, check, "it is not told: "+err.Error(), p.fix(err, reading))
	case told.Lapsed:
		p.problem(p.group, code, name, errors.New("it is not active"), renew)
	case told.Ends.IsZero():
		p.ok(p.group, code, name+" is active, and no end of it is told")
	default:
		p.expiry(p.group, code, name, told.Ends, renew)
	}
}

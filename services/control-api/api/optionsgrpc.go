package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/options"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
)

// GetOptions implements controlv1.ControlServiceServer.
func (s service) GetOptions(ctx context.Context, r *controlv1.GetOptionsRequest) (*controlv1.GetOptionsResponse, error) {
	entry, err := s.on(r.GetTarget(), func(key options.Key) (OptionsEntry, error) { return s.options.get(ctx, key, r.GetUndecided()) })
	return &controlv1.GetOptionsResponse{Entry: entry}, err
}

// PutOptions implements controlv1.ControlServiceServer.
func (s service) PutOptions(ctx context.Context, r *controlv1.PutOptionsRequest) (*controlv1.PutOptionsResponse, error) {
	entry, err := s.on(r.GetTarget(), func(key options.Key) (OptionsEntry, error) {
		given, err := optionsIn(r.GetOptions())
		if err != nil {
			return OptionsEntry{}, err
		}
		return s.options.put(ctx, key, r.Revision, given)
	})
	return &controlv1.PutOptionsResponse{Entry: entry}, err
}

// DeleteOptions implements controlv1.ControlServiceServer.
func (s service) DeleteOptions(ctx context.Context, r *controlv1.DeleteOptionsRequest) (*controlv1.DeleteOptionsResponse, error) {
	entry, err := s.on(r.GetTarget(), func(key options.Key) (OptionsEntry, error) { return s.options.remove(ctx, key, r.Revision) })
	return &controlv1.DeleteOptionsResponse{Entry: entry}, err
}

// PutChoice implements controlv1.ControlServiceServer.
func (s service) PutChoice(ctx context.Context, r *controlv1.PutChoiceRequest) (*controlv1.PutChoiceResponse, error) {
	entry, err := s.by(s.options.linked, r, func(key options.Key) (OptionsEntry, error) {
		until, err := timeIn(r.GetUntil(), "until")
		if err != nil {
			return OptionsEntry{}, err
		}
		return s.options.choose(ctx, key, options.Chosen{
			Status: r.GetStatus(), Until: until, System: identity.System(r.GetSystem()), Extension: identity.Extension(r.GetExtension())})
	})
	return &controlv1.PutChoiceResponse{Entry: entry}, err
}

// DeleteChoice implements controlv1.ControlServiceServer.
func (s service) DeleteChoice(ctx context.Context, r *controlv1.DeleteChoiceRequest) (*controlv1.DeleteChoiceResponse, error) {
	entry, err := s.by(s.options.linked, r, func(key options.Key) (OptionsEntry, error) {
		return s.options.withdraw(ctx, key, identity.System(r.GetSystem()), identity.Extension(r.GetExtension()))
	})
	return &controlv1.DeleteChoiceResponse{Entry: entry}, err
}

// PutPause implements controlv1.ControlServiceServer.
func (s service) PutPause(ctx context.Context, r *controlv1.PutPauseRequest) (*controlv1.PutPauseResponse, error) {
	entry, err := s.by(s.options.user, r, func(key options.Key) (OptionsEntry, error) {
		until, err := timeIn(r.GetUntil(), "until")
		if err != nil {
			return OptionsEntry{}, err
		}
		return s.options.pause(ctx, key, until)
	})
	return &controlv1.PutPauseResponse{Entry: entry}, err
}

// DeletePause implements controlv1.ControlServiceServer.
func (s service) DeletePause(ctx context.Context, r *controlv1.DeletePauseRequest) (*controlv1.DeletePauseResponse, error) {
	entry, err := s.by(s.options.user, r, func(key options.Key) (OptionsEntry, error) { return s.options.resume(ctx, key) })
	return &controlv1.DeletePauseResponse{Entry: entry}, err
}

// on does something with the options of a target.
func (s service) on(t *controlv1.Target, do func(options.Key) (OptionsEntry, error)) (*controlv1.OptionsEntry, error) {
	return s.answer(func() (options.Key, error) { return s.options.of(t.GetTenant(), t.GetGroup(), t.GetUser()) }, do)
}

// named is a request about a user.
type named interface {
	GetTenant() string
	GetUser() string
}

// by does something with the options of the user that find finds.
func (s service) by(find func(tenant, name string) (options.Key, error), r named, do func(options.Key) (OptionsEntry, error)) (*controlv1.OptionsEntry, error) {
	return s.answer(func() (options.Key, error) { return find(r.GetTenant(), r.GetUser()) }, do)
}

func (s service) answer(key func() (options.Key, error), do func(options.Key) (OptionsEntry, error)) (*controlv1.OptionsEntry, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	of, err := key()
	if err != nil {
		return nil, grpcError(err)
	}
	entry, err := do(of)
	if err != nil {
		return nil, grpcError(err)
	}
	return entryOut(entry), nil
}

// optionsIn reads what a client sent; who changed it, and when, it does not say.
func optionsIn(m *controlv1.Options) (options.Record, error) {
	r := options.Record{
		Mode: m.GetMode(), Base: m.GetBase(), Combine: m.GetCombine(), Rank: int(m.GetRank()), Teams: m.GetTeams(), Calendar: m.GetCalendar(), PBX: m.GetPbx(),
		Manual: options.Manual{Policy: m.GetManual().GetPolicy(), Max: m.GetManual().GetMax(), Scope: m.GetManual().GetScope()},
	}
	var bad [4]error // said all at once, as other problems of options
	r.Damping, bad[0] = durationIn(m.GetDamping(), "damping")
	r.StaleAfter, bad[1] = durationIn(m.GetStaleAfter(), "stale_after")
	r.PausedUntil, bad[2] = timeIn(m.GetPausedUntil(), "paused_until")
	if c := m.GetChosen(); c != nil {
		r.Chosen = &options.Chosen{Status: c.Status, System: identity.System(c.System), Extension: identity.Extension(c.Extension)}
		r.Chosen.Until, bad[3] = timeIn(c.Until, "chosen.until")
	}
	if err := errors.Join(bad[:]...); err != nil {
		return r, problem(fault.Invalid, CodeOptions, strings.ReplaceAll(err.Error(), "\n", "; "), "options", "correct all of it; nothing was changed")
	}
	return r, nil
}

func timeIn(t *timestamppb.Timestamp, where string) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, problem(fault.Invalid, CodeRequest, where+": "+err.Error(), where, "send a valid timestamp")
	}
	return t.AsTime(), nil
}

func durationIn(d *durationpb.Duration, where string) (*options.Duration, error) {
	if d == nil {
		return nil, nil
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() < 0 {
		return nil, fmt.Errorf("%s: the duration is negative, or none", where)
	}
	return new(options.Duration(d.AsDuration())), nil
}

func entryOut(e OptionsEntry) *controlv1.OptionsEntry {
	m := &controlv1.OptionsEntry{Tenant: e.Tenant, Group: e.Group, User: e.User, Upn: e.UPN, Name: e.Name,
		Revision: e.Revision, Concerns: uint32(e.Concerns), Options: optionsOut(e.Options)}
	if e.Undecided != nil {
		m.Undecided = new(uint32(*e.Undecided))
	}
	if e.Members != nil {
		m.Members = &controlv1.Members{Users: uint32(e.Members.Users), Problem: e.Members.Problem, SeenAt: timestamp(e.Members.SeenAt)}
	}
	for _, o := range e.Effective {
		m.Effective = append(m.Effective, &controlv1.EffectiveOption{Key: o.Key, Value: o.Value, From: o.From, Id: o.ID, Name: o.Name})
	}
	return m
}

func optionsOut(r options.Record) *controlv1.Options {
	m := &controlv1.Options{
		Mode: r.Mode, Base: r.Base, Combine: r.Combine, Rank: int32(r.Rank), Teams: r.Teams, Calendar: r.Calendar, Pbx: r.PBX,
		Damping: durationOut(r.Damping), StaleAfter: durationOut(r.StaleAfter),
		PausedUntil: timestamp(moment(r.PausedUntil)), By: r.By, At: timestamp(moment(r.At)),
	}
	if r.Manual != (options.Manual{}) {
		m.Manual = &controlv1.Manual{Policy: r.Manual.Policy, Max: r.Manual.Max, Scope: r.Manual.Scope}
	}
	if c := r.Chosen; c != nil {
		m.Chosen = &controlv1.Choice{Status: c.Status, Until: timestamp(moment(c.Until)), System: string(c.System), Extension: string(c.Extension),
			By: c.By, At: timestamp(moment(c.At))}
	}
	return m
}

func durationOut(d *options.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(time.Duration(*d))
}

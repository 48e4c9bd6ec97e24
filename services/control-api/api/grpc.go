package api

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/core/fault"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
)

// service serves the API over gRPC. Errors carry the code and fix of the Problem
// in their message.
type service struct {
	controlv1.UnimplementedControlServiceServer
	*rest
}

// newGRPC returns a server with reflection and health; health says SERVING once
// the read model is filled.
func newGRPC(a *rest) (*grpc.Server, *health.Server) {
	s := grpc.NewServer(
		grpc.MaxRecvMsgSize(64<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: eventTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
	)
	controlv1.RegisterControlServiceServer(s, service{rest: a})
	alive := health.NewServer()
	alive.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(s, alive)
	reflection.Register(s)
	return s, alive
}

func (s service) filled() error {
	select {
	case <-s.ready:
		return nil
	default:
		return grpcError(starting())
	}
}

// ListStatus implements controlv1.ControlServiceServer.
func (s service) ListStatus(_ context.Context, r *controlv1.ListStatusRequest) (*controlv1.ListStatusResponse, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	people, err := s.model.find(r.GetTenant(), r.GetUser())
	if err != nil {
		return nil, grpcError(err)
	}
	if r.GetStale() {
		people = s.model.stale(people)
	}
	answer := &controlv1.ListStatusResponse{}
	for _, each := range s.model.list(people) {
		answer.Entries = append(answer.Entries, statusOut(each))
	}
	return answer, nil
}

// Explain implements controlv1.ControlServiceServer.
func (s service) Explain(ctx context.Context, r *controlv1.ExplainRequest) (*controlv1.ExplainResponse, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	var at time.Time
	if r.At != nil {
		if err := r.At.CheckValid(); err != nil {
			return nil, grpcError(problem(fault.Invalid, CodeRequest, err.Error(), "at", "send a valid timestamp"))
		}
		at = r.At.AsTime()
	}
	explanations, err := s.explain.explain(ctx, r.GetTenant(), r.GetUser(), at)
	if err != nil {
		return nil, grpcError(err)
	}
	answer := &controlv1.ExplainResponse{}
	for _, each := range explanations {
		x := &controlv1.Explanation{Status: statusOut(each.Status), Sentence: each.Sentence}
		for _, step := range each.Chain {
			x.Chain = append(x.Chain, &controlv1.Step{Step: step.Step, Service: step.Service, At: timestamppb.New(step.At), Ms: step.MS,
				Fact: step.Fact, Decision: step.Decision, Outcome: step.Outcome, Detail: step.Detail})
		}
		answer.Explanations = append(answer.Explanations, x)
	}
	return answer, nil
}

// Watch implements controlv1.ControlServiceServer. It has no resuming: programs
// that need it use the stream over HTTP.
func (s service) Watch(r *controlv1.WatchRequest, out grpc.ServerStreamingServer[controlv1.WatchResponse]) error {
	if err := s.filled(); err != nil {
		return err
	}
	watcher, _, err := s.hub.watch(r.GetTenant(), r.GetUser())
	if err != nil {
		return grpcError(err)
	}
	defer s.hub.leave(watcher)
	for {
		select {
		case <-out.Context().Done():
			return nil
		case e, kept := <-watcher.events:
			if !kept {
				return grpcError(errSlow())
			}
			c := e.change
			if err := out.Send(&controlv1.WatchResponse{Status: statusOut(c.Status), Result: c.Result, Detail: c.Detail,
				LatencyMs: c.LatencyMS, Trace: c.Trace, At: timestamppb.New(c.At), Before: c.Before, Side: c.Side}); err != nil {
				return err
			}
		}
	}
}

func statusOut(s Status) *controlv1.StatusEntry {
	m := &controlv1.StatusEntry{
		Tenant: s.Tenant, User: s.User, Upn: s.UPN, Name: s.Name, System: s.System, Extension: s.Extension,
		Shown: s.Shown, Wanted: s.Wanted, Reason: s.Reason, Since: timestamp(s.Since), Lane: s.Lane, AgeMs: s.AgeMS,
	}
	for _, c := range s.Claims {
		m.Claims = append(m.Claims, &controlv1.Claim{Source: c.Source, Status: c.Status, Until: timestamp(c.Until)})
	}
	if t := s.Teams; t != nil {
		m.Teams = &controlv1.Teams{Availability: t.Availability, Activity: t.Activity, AgeMs: t.AgeMS}
	}
	if t := s.ToTeams; t != nil {
		m.ToTeams = &controlv1.ToTeams{Session: t.Session, Preferred: t.Preferred, Until: timestamp(t.Until), Result: t.Result, Detail: t.Detail}
	}
	return m
}

func timestamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func grpcError(err error) error {
	p := problemOf(err)
	code := codes.Unavailable
	switch {
	case p.Code == CodeSlow:
		code = codes.ResourceExhausted
	case p.Code == CodeChanged:
		code = codes.Aborted
	case p.kind == fault.Invalid:
		code = codes.InvalidArgument
	case p.kind == fault.NotFound:
		code = codes.NotFound
	case p.kind == fault.Conflict:
		code = codes.FailedPrecondition
	}
	return status.Errorf(code, "%s (%s); %s", p.Error(), p.Where, p.Fix)
}

package api

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/core/plan"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
)

// CreatePlan implements controlv1.ControlServiceServer.
func (s service) CreatePlan(ctx context.Context, r *controlv1.CreatePlanRequest) (*controlv1.CreatePlanResponse, error) {
	order, err := s.order(func() (Order, error) {
		return s.orders.plan(ctx, SyncBody{Tenant: r.GetTenant(), Kind: r.GetKind(), ID: r.GetId()})
	})
	return &controlv1.CreatePlanResponse{Order: order}, err
}

// ApplyPlan implements controlv1.ControlServiceServer.
func (s service) ApplyPlan(ctx context.Context, r *controlv1.ApplyPlanRequest) (*controlv1.ApplyPlanResponse, error) {
	order, err := s.order(func() (Order, error) {
		return s.orders.apply(ctx, r.GetPlan(), ApplyBody{Force: r.GetForce(), ID: r.GetId()})
	})
	return &controlv1.ApplyPlanResponse{Order: order}, err
}

// Sync implements controlv1.ControlServiceServer.
func (s service) Sync(ctx context.Context, r *controlv1.SyncRequest) (*controlv1.SyncResponse, error) {
	order, err := s.order(func() (Order, error) {
		return s.orders.sync(ctx, SyncBody{Tenant: r.GetTenant(), Kind: r.GetKind(), ID: r.GetId()})
	})
	return &controlv1.SyncResponse{Order: order}, err
}

// ListPlans implements controlv1.ControlServiceServer.
func (s service) ListPlans(ctx context.Context, r *controlv1.ListPlansRequest) (*controlv1.ListPlansResponse, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	list, err := s.plans.list(ctx, r.GetTenant())
	if err != nil {
		return nil, grpcError(err)
	}
	answer := &controlv1.ListPlansResponse{}
	for _, p := range list {
		answer.Plans = append(answer.Plans, planOut(p))
	}
	return answer, nil
}

// GetPlan implements controlv1.ControlServiceServer.
func (s service) GetPlan(r *controlv1.GetPlanRequest, out grpc.ServerStreamingServer[controlv1.GetPlanResponse]) error {
	if err := s.filled(); err != nil {
		return err
	}
	p, err := s.plans.get(out.Context(), r.GetId())
	if err != nil {
		return grpcError(err)
	}
	if err := out.Send(&controlv1.GetPlanResponse{Plan: planOut(p)}); err != nil {
		return err
	}
	limit := everything
	if r.Limit != nil {
		limit = int(r.GetLimit())
	}
	err = p.changes(out.Context(), int(r.GetOffset()), limit, func(some []plan.Change) error {
		return out.Send(&controlv1.GetPlanResponse{Changes: changesOut(some)})
	})
	if err != nil {
		return grpcError(err)
	}
	return nil
}

func planOut(p Plan) *controlv1.Plan {
	b := p.Brake
	return &controlv1.Plan{Id: p.ID, Tenant: p.Tenant, Kind: p.Kind, State: p.State, Made: timestamppb.New(p.Made), Expires: timestamppb.New(p.Expires), Basis: p.Basis,
		Brake: &controlv1.Brake{Tripped: b.Tripped, Removed: uint32(b.Removed), Linked: uint32(b.Linked), Held: uint32(b.Held), Forced: b.Forced},
		Total: uint32(p.Total), Done: uint32(p.Done), Failed: uint32(p.Failed),
		Unlisted: uint32(p.Unlisted), Incomplete: p.Incomplete, Remarks: counted(p.Remarks)}
}

func changesOut(some []plan.Change) (all []*controlv1.PlannedChange) {
	for _, c := range some {
		m := &controlv1.PlannedChange{Op: string(c.Op), Object: c.Object, Line: c.Line, Name: c.Name, Reason: c.Reason, Detail: c.Detail, Held: c.Held, Tried: attemptOut(c.Tried), Result: attemptOut(c.Result)}
		for _, f := range c.Fields {
			m.Fields = append(m.Fields, &controlv1.FieldChange{Name: f.Name, From: f.From, To: f.To})
		}
		for _, r := range c.Remarks {
			m.Remarks = append(m.Remarks, &controlv1.Remark{Field: r.Field, Reason: r.Reason, Detail: r.Detail})
		}
		all = append(all, m)
	}
	return all
}

// attemptOut is what came of a change; nil where that is not known.
func attemptOut(a *plan.Attempt) *controlv1.Attempt {
	if a == nil {
		return nil
	}
	return &controlv1.Attempt{At: timestamppb.New(a.At), Result: a.Result, Detail: a.Detail}
}

// counted are counts by name.
func counted(counts map[string]int) map[string]uint32 {
	out := make(map[string]uint32, len(counts))
	for name, n := range counts {
		out[name] = uint32(n)
	}
	return out
}

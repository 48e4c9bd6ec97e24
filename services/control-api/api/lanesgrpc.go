package api

import (
	"context"

	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
)

// ListLanes implements controlv1.ControlServiceServer.
func (s service) ListLanes(_ context.Context, r *controlv1.ListLanesRequest) (*controlv1.ListLanesResponse, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	list, err := s.model.listLanes(r.GetTenant())
	if err != nil {
		return nil, grpcError(err)
	}
	answer := &controlv1.ListLanesResponse{}
	for _, l := range list {
		answer.Lanes = append(answer.Lanes, &controlv1.Lane{Tenant: l.Tenant, Account: l.Account, User: l.User, From: l.From, State: l.State, Since: timestamp(l.Since),
			Detail: l.Detail, Users: uint32(l.Users), Expires: timestamp(l.Expires), HeardAt: timestamp(l.HeardAt), Silences: uint32(l.Silences)})
	}
	return answer, nil
}

// PutOrder implements controlv1.ControlServiceServer.
func (s service) PutOrder(ctx context.Context, r *controlv1.PutOrderRequest) (*controlv1.PutOrderResponse, error) {
	order, err := s.order(func() (Order, error) {
		return s.orders.put(ctx, r.GetTenant(), r.GetId(), OrderBody{Kind: r.GetKind(), Account: r.GetAccount()})
	})
	return &controlv1.PutOrderResponse{Order: order}, err
}

// GetOrder implements controlv1.ControlServiceServer.
func (s service) GetOrder(ctx context.Context, r *controlv1.GetOrderRequest) (*controlv1.GetOrderResponse, error) {
	order, err := s.order(func() (Order, error) { return s.orders.get(ctx, r.GetTenant(), r.GetId()) })
	return &controlv1.GetOrderResponse{Order: order}, err
}

func (s service) order(do func() (Order, error)) (*controlv1.Order, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	o, err := do()
	if err != nil {
		return nil, grpcError(err)
	}
	return &controlv1.Order{Tenant: o.Tenant, Id: o.ID, Kind: o.Kind, State: o.State, Ended: o.Ended, Account: o.Account, UserCode: o.UserCode, Url: o.URL,
		CodeExpires: timestamp(o.CodeExpires), Detail: o.Detail, At: timestamp(o.At), What: o.What, Plan: o.Plan, Total: uint32(o.Total), Done: uint32(o.Done), Failed: uint32(o.Failed)}, nil
}

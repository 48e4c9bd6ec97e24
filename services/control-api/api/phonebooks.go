package api

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
)

// phonebooks returns how the phonebooks of the configured tenants stand, or of one. A
// tenant of which contact-sync has said nothing yet is not in it, nor one whose contacts
// are in none.
func (s shelf) phonebooks(ctx context.Context, tenant string) ([]books.State, error) {
	all := slices.Sorted(maps.Keys(s.model.tenants))
	if tenant != "" {
		of, err := (orders{model: s.model}).tenant(tenant)
		if err != nil {
			return nil, err
		}
		all = []identity.Tenant{of}
	}
	states := []books.State{}
	for _, of := range all {
		if s.model.tenants[of].NoContacts {
			continue
		}
		e, err := s.books.Get(ctx, books.StateKey(of))
		if err != nil && fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if state, err := books.DecodeState(e.Value); err == nil && state.Tenant == of { // else a later version's
			states = append(states, state)
		}
	}
	return states, nil
}

func (a *rest) getPhonebooks(w http.ResponseWriter, r *http.Request) error {
	states, err := a.plans.phonebooks(r.Context(), r.FormValue("tenant"))
	if err != nil {
		return err
	}
	writeJSON(w, states)
	return nil
}

// ListPhonebooks implements controlv1.ControlServiceServer.
func (s service) ListPhonebooks(ctx context.Context, r *controlv1.ListPhonebooksRequest) (*controlv1.ListPhonebooksResponse, error) {
	if err := s.filled(); err != nil {
		return nil, err
	}
	states, err := s.plans.phonebooks(ctx, r.GetTenant())
	if err != nil {
		return nil, grpcError(err)
	}
	answer := &controlv1.ListPhonebooksResponse{}
	for _, state := range states {
		m := &controlv1.Phonebooks{Tenant: string(state.Tenant), At: timestamppb.New(state.At), Mailboxes: uint32(state.Mailboxes), Books: uint32(state.Books),
			Counts: countsOut(state.Counts), Unread: uint32(state.Unread), Pages: uint32(state.Pages), Standings: counted(state.Standings)}
		for _, b := range state.Attention {
			m.Attention = append(m.Attention, &controlv1.PhonebookStanding{Mailbox: string(b.Mailbox), System: string(b.Book.System), Extension: string(b.Book.Owner),
				Why: b.Why, Detail: b.Detail, Counts: countsOut(b.Counts)})
		}
		answer.Tenants = append(answer.Tenants, m)
	}
	return answer, nil
}

func countsOut(c books.Counts) *controlv1.PhonebookCounts {
	return &controlv1.PhonebookCounts{Entries: uint32(c.Entries), Creates: uint32(c.Creates), Updates: uint32(c.Updates), Deletes: uint32(c.Deletes),
		Held: uint32(c.Held), Trouble: uint32(c.Trouble), Over: uint32(c.Over)}
}

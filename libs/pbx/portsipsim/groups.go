package portsipsim

import (
	"net/http"
	"slices"

	"offhook.dev/libs/core/identity"
)

func listGroups(s *Sim, r request, _ *user, _ []string) (int, any, error) {
	query := r.URL.Query()
	if err := onlyQuery(query, "filter", "search", "orderby", "skip", "top"); err != nil {
		return 0, nil, err
	}
	var rows []map[string]any
	for _, g := range s.world.groups {
		rows = append(rows, map[string]any{"id": g.id, "name": g.name})
	}
	all, err := s.filtered(query.Get("filter"), []string{"id", "name"}, rows)
	if err != nil {
		return 0, nil, err
	}
	return s.page(query, all)
}

func createGroup(s *Sim, r request, _ *user, _ []string) (int, any, error) {
	order, err := shape{"name": text(64), "description": text(1024), "outbound_caller_ids": object}.parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	name, _ := order["name"].(string)
	switch {
	case name == "":
		return 0, nil, invalid("the field name is empty")
	case first(s.world.groups, func(g *group) bool { return g.name == name }) != nil:
		return 0, nil, no("NAME_EXISTS", "the name is taken")
	}
	return http.StatusCreated, map[string]any{"id": s.world.groupNamed(name).id}, nil
}

func (s *Sim) groupAt(id string) *group {
	return first(s.world.groups, func(g *group) bool { return g.id == id })
}

func (s *Sim) memberOf(ext identity.Extension) map[string]any {
	u := s.world.byNumber(ext)
	return map[string]any{"id": u.id, "name": u.fields["name"], "display_name": u.fields["display_name"], "extension_number": ext}
}

func listMembers(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	g := s.groupAt(part[0])
	if g == nil {
		return 0, nil, errAbsent
	}
	items := []any{}
	for _, ext := range g.members {
		items = append(items, s.memberOf(ext))
	}
	return http.StatusOK, map[string]any{"items": items}, nil
}

// atMember finds the group and the extension that a path names.
func (s *Sim) atMember(part []string) (g *group, ext identity.Extension, in bool, err error) {
	if ext, err = s.numberOf(part[1]); err != nil {
		return nil, "", false, err
	}
	if g = s.groupAt(part[0]); g == nil || s.world.byNumber(ext) == nil {
		return nil, "", false, errAbsent
	}
	return g, ext, slices.Contains(g.members, ext), nil
}

func getMember(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	_, ext, in, err := s.atMember(part)
	if err != nil || !in {
		return 0, nil, refusal{http.StatusNotFound, "UNKNOWN", "no such member"}
	}
	return http.StatusOK, s.memberOf(ext), nil
}

func addMember(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	g, ext, in, err := s.atMember(part)
	switch {
	case err != nil:
		return 0, nil, err
	case in:
		return 0, nil, no("MEMBER_EXISTS", "the extension is in the group already")
	}
	g.members = append(g.members, ext)
	return http.StatusOK, nil, nil
}

func destroyMember(s *Sim, _ request, _ *user, part []string) (int, any, error) {
	g, ext, in, err := s.atMember(part)
	if err != nil || !in {
		return 0, nil, errAbsent
	}
	g.members = slices.DeleteFunc(g.members, func(other identity.Extension) bool { return other == ext })
	return http.StatusNoContent, nil, nil
}

package graphsim

import "net/http"

// groupOperations are those of the control interface about groups, which it knows by
// id or display name.
func groupOperations() map[string]controlOperation {
	return map[string]controlOperation{
		"GET groups":                             func(t *Tenant, _ *http.Request) (any, error) { return t.Groups(), nil },
		"POST groups":                            controlAddGroup,
		"GET groups/{group}":                     func(t *Tenant, r *http.Request) (any, error) { return t.Group(r.PathValue("group")) },
		"PUT groups/{group}/name":                controlNameGroup,
		"DELETE groups/{group}":                  func(t *Tenant, r *http.Request) (any, error) { return nil, t.DeleteGroup(r.PathValue("group")) },
		"PUT groups/{group}/members/{member}":    controlMember((*Tenant).Join),
		"DELETE groups/{group}/members/{member}": controlMember((*Tenant).Leave),
	}
}

func controlAddGroup(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
	}](r, `{"displayName":"Support"}`)
	if err != nil {
		return nil, err
	}
	return t.AddGroup(body.ID, body.DisplayName)
}

// controlNameGroup renames a group: others may be called the same.
func controlNameGroup(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		DisplayName string `json:"displayName"`
		Mail        string `json:"mail"`
	}](r, `{"displayName":"Support","mail":"support@contoso.example"}`)
	if err != nil {
		return nil, err
	}
	return t.NameGroup(r.PathValue("group"), body.DisplayName, body.Mail)
}

// controlMember changes who is in a group and answers with it.
func controlMember(change func(t *Tenant, group, member string) error) controlOperation {
	return func(t *Tenant, r *http.Request) (any, error) {
		if err := change(t, r.PathValue("group"), r.PathValue("member")); err != nil {
			return nil, err
		}
		return t.Group(r.PathValue("group"))
	}
}

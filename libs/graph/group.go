package graph

import (
	"context"

	"offhook.dev/libs/core/identity"
)

const (
	// GroupPage is the largest page of a group's members.
	// https://learn.microsoft.com/graph/api/group-list-transitivemembers
	GroupPage = 999
	// MaxGroupMembers is how many users a group may have to be read. It is Offhook's own
	// limit: what is known of a group is one message of the broker, of 1 MiB at most,
	// with 16 bytes for each user.
	MaxGroupMembers = 60_000
)

// Group is a group of the directory with everyone in it.
type Group struct {
	ID   identity.Group
	Name string // display name; changes, and several groups may have the same
	Mail string // address, or "" where it has none or was not asked for
	// Members are the users in the group and in groups in it, guests and disabled ones
	// too; sorted, each once. What is no user, such as a device, is left out.
	Members []identity.User
}

// GroupReader reads groups of the directory. The least permission for it is
// GroupMember.Read.All; groups that hide their members need Member.Read.Hidden as well.
type GroupReader interface {
	// GroupMembers reads a group whole: an answer holds everyone, or there is an error.
	// A group that there is not is fault.NotFound, one with more than MaxGroupMembers
	// fault.Unsupported. Graph answers from an index that may be seconds behind.
	GroupMembers(ctx context.Context, id identity.Group) (Group, error)
	// GroupsCalled lists the groups that a name may mean, without who is in them: the one
	// of this object id, else those of this display name or mail address, in any case.
	// That there is none is no error; of very many it lists some, at least two.
	GroupsCalled(ctx context.Context, name string) ([]Group, error)
}

package graph

import (
	"context"
	"iter"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

const (
	// PhotoEdge is the edge in pixels of the square in which photos are asked for. Graph
	// may answer with another one.
	// https://learn.microsoft.com/graph/api/profilephoto-get
	PhotoEdge = directory.PhotoEdge
	// MaxPhoto is the size in bytes of the largest photo that is read: as much as Microsoft
	// lets people upload.
	MaxPhoto = 4 << 20
)

// PhotoTag says which photo a user has, without reading it.
type PhotoTag struct {
	User identity.User
	ETag string // "": there is none
	Err  error  // as in CalendarAnswer
}

// PhotoReader reads users' photos. It needs the permission ProfilePhoto.Read.All or
// User.Read.All.
type PhotoReader interface {
	// PhotoTags answers for each user as CalendarReader.CalendarViews does.
	PhotoTags(ctx context.Context, users []identity.User) iter.Seq[PhotoTag]
	// Photo reads a photo, whatever it is that somebody uploaded: fault.NotFound where
	// there is none, fault.Unsupported for one of more than MaxPhoto bytes.
	Photo(ctx context.Context, user identity.User) ([]byte, error)
}

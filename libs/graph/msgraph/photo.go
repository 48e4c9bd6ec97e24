package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// PhotoTags implements graph.PhotoReader.
func (c *Client) PhotoTags(ctx context.Context, users []identity.User) iter.Seq[graph.PhotoTag] {
	const op = "microsoft graph: read which photo a user has"
	return eachMailbox(ctx, c, op, users, "/photo", func(user identity.User, body json.RawMessage, err error) graph.PhotoTag {
		if err != nil {
			if fault.KindOf(err) == fault.NotFound {
				err = nil // no photo, or nobody who could have one
			}
			return graph.PhotoTag{User: user, Err: err}
		}
		var is struct {
			ETag  string `json:"@odata.mediaEtag"`
			Width *int   `json:"width"`
		}
		if json.Unmarshal(body, &is) != nil {
			return graph.PhotoTag{User: user, Err: fault.New(fault.Unknown, op, errors.New("the answer cannot be read"))}
		}
		if is.Width != nil && *is.Width <= 1 { // Graph may tell of one pixel where there is no photo
			is.ETag = ""
		}
		return graph.PhotoTag{User: user, ETag: is.ETag}
	})
}

// Photo implements graph.PhotoReader.
func (c *Client) Photo(ctx context.Context, user identity.User) ([]byte, error) {
	const op = "microsoft graph: read a photo"
	image, err := c.photo(ctx, op, user, fmt.Sprintf("/photos/%dx%d/$value", graph.PhotoEdge, graph.PhotoEdge))
	if fault.KindOf(err) == fault.NotFound { // a smaller one may not be had in this size
		image, err = c.photo(ctx, op, user, "/photo/$value")
	}
	return image, err
}

func (c *Client) photo(ctx context.Context, op string, user identity.User, path string) ([]byte, error) {
	var image []byte // a batch carries what is not JSON as base64
	err := c.readMailbox(ctx, op, user, "/users/"+string(user)+path, "", &image)
	switch {
	case errors.Is(err, errTooLong), err == nil && len(image) > graph.MaxPhoto:
		return nil, fault.Errorf(fault.Unsupported, op, "the photo has more than %d bytes", graph.MaxPhoto)
	case err == nil && len(image) == 0:
		return nil, fault.Errorf(fault.NotFound, op, "the photo is empty")
	}
	return image, err
}

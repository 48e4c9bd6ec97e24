package portsip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// portrayed is a driver that knows accounts of users: a picture can only be set by those
// whom it shows.
type portrayed struct{ *Driver }

// photoPowers: which pictures PortSIP takes is not documented. These are what Microsoft 365
// has, in a size that every version of its apps shows.
var photoPowers = pbx.PhotoPowers{Pixels: 648, Formats: []string{"image/jpeg", "image/png"}}

// fileNames are of what is uploaded, by type.
var fileNames = map[string]string{"image/jpeg": "photo.jpg", "image/png": "photo.png"}

// Capabilities has the photos beside what Driver can do.
func (d portrayed) Capabilities() pbx.Capabilities {
	c := d.Driver.Capabilities()
	c.Photo = photoPowers
	return c
}

// SetPhoto uploads a picture in three requests (a beginning, its content, its end with the
// digest) and names it as the user's own. Denied: nobody gave us the user's account.
func (d portrayed) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	const op = "portsip: set photo"
	if len(image) > 0 && fileNames[mime] == "" {
		return fault.Errorf(fault.Unsupported, op, "a picture of the type %q is none of %v", mime, photoPowers.Formats)
	}
	as, err := d.as(ctx, op, ext)
	if err != nil {
		return err
	}
	file := "" // none: the picture is removed
	if len(image) > 0 {
		if file, err = d.uploadFile(ctx, op, as, fileNames[mime], image); err != nil {
			return err
		}
	}
	return d.changeSelf(ctx, op, as, "avatar_file_id", file)
}

// uploadFile stores a file and returns its id. Until a user names it nothing has changed
// for anybody, so whatever goes wrong before is a write that did not happen.
func (d *Driver) uploadFile(ctx context.Context, op string, as *session, name string, data []byte) (string, error) {
	begun, err := d.wire.upload(ctx, op, as, "/blobs/uploads", url.Values{"filename": {name}}, nil, nil, http.StatusAccepted)
	if err != nil {
		return "", undone(ctx, op, err)
	}
	id, token := begun.header.Get("PortSIP-Upload-ID"), begun.header.Get("PortSIP-Upload-Token")
	if id == "" || token == "" {
		return "", fault.Errorf(fault.Unavailable, op, "%w: an upload without id or token", errSenseless)
	}
	path := "/blobs/uploads/" + url.PathEscape(id)
	ours := http.Header{"Portsip-Upload-Token": {token}}
	content := http.Header{"Portsip-Upload-Token": {token}, "Content-Type": {"application/octet-stream"}}
	if _, err := d.wire.upload(ctx, op, as, path+"/append", nil, content, data, http.StatusNonAuthoritativeInfo); err != nil {
		return "", undone(ctx, op, err)
	}
	sum := sha256.Sum256(data)
	done, err := d.wire.upload(ctx, op, as, path+"/complete", url.Values{"digest": {hex.EncodeToString(sum[:])}}, ours, nil, http.StatusCreated)
	if err != nil {
		return "", undone(ctx, op, err)
	}
	var file struct{ ID string }
	if err := decode(op, done.body, &file); err != nil {
		return "", err
	}
	if file.ID == "" {
		return "", fault.Errorf(fault.Unavailable, op, "%w: a file without id", errSenseless)
	}
	return file.ID, nil
}

// undone is a lost answer to a request that has changed nothing yet.
func undone(ctx context.Context, op string, err error) error {
	if fault.KindOf(err) == fault.Timeout && ctx.Err() == nil {
		return fault.New(fault.Unavailable, op, err)
	}
	return err
}

// changeSelf changes one member of the user who is signed in, as change does for others.
func (d *Driver) changeSelf(ctx context.Context, op string, as *session, name, value string) error {
	order := members{}
	if !d.config.Partial {
		var now members
		if err := d.wire.get(ctx, op, as, "/user", nil, &now); err != nil {
			return err
		}
		order = now.ownWritable()
	}
	order[name], _ = json.Marshal(value)
	return d.wire.post(ctx, op, as, "/user", order, nil, order.text("voicemail_pin"))
}

// ownWritable is writable for those who change themselves.
func (m members) ownWritable() members {
	kept := m.writable()
	delete(kept, "enabled") // an administrator's to change
	delete(kept, "transports")
	return kept
}

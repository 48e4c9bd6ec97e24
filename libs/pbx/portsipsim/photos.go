package portsipsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"

	"offhook.dev/libs/core/identity"
)

// upload is a file that is not there in whole yet.
type upload struct {
	owner *user
	token string
	data  []byte
}

// withHeader is an answer without a body that has headers.
type withHeader map[string]string

// Photo is an extension's picture, nil if there is none.
func (s *Sim) Photo(ext identity.Extension) (image []byte) {
	s.with(ext, func(u *user) { image = slices.Clone(s.world.files[u.avatar]) })
	return image
}

// headers are what each step of an upload answers.
func (u *upload) headers(id string) withHeader {
	return withHeader{"PortSIP-Upload-ID": id, "PortSIP-Upload-Token": u.token}
}

func beginUpload(s *Sim, _ request, self *user, _ []string) (int, any, error) {
	id, one := s.world.id(), &upload{owner: self, token: s.world.id()}
	s.world.uploads[id] = one
	return http.StatusAccepted, one.headers(id), nil
}

// ongoing is the upload of a request, which must have its token.
func (s *Sim) ongoing(r request, self *user, id string) (*upload, error) {
	one := s.world.uploads[id]
	switch {
	case one == nil || one.owner != self:
		return nil, errAbsent
	case r.Header.Get("PortSIP-Upload-Token") != one.token:
		return nil, refusal{http.StatusForbidden, "FORBIDDEN", "the upload token is wrong"}
	}
	return one, nil
}

func appendUpload(s *Sim, r request, self *user, part []string) (int, any, error) {
	one, err := s.ongoing(r, self, part[0])
	if err != nil {
		return 0, nil, err
	}
	if r.Header.Get("Content-Type") != "application/octet-stream" {
		return 0, nil, invalid("the body is no stream of octets")
	}
	one.data = append(one.data, r.body...)
	return http.StatusNonAuthoritativeInfo, one.headers(part[0]), nil
}

func completeUpload(s *Sim, r request, self *user, part []string) (int, any, error) {
	one, err := s.ongoing(r, self, part[0])
	if err != nil {
		return 0, nil, err
	}
	one.data = append(one.data, r.body...)
	if sum := sha256.Sum256(one.data); r.URL.Query().Get("digest") != hex.EncodeToString(sum[:]) {
		return 0, nil, invalid("the digest does not fit")
	}
	delete(s.world.uploads, part[0])
	id := s.world.id()
	s.world.files[id] = bytes.Clone(one.data)
	return http.StatusCreated, map[string]any{"id": id}, nil
}

func getSelf(s *Sim, _ request, self *user, _ []string) (int, any, error) {
	s.world.stats.Secrets++
	told := self.copied()
	told["transports"] = []any{}
	if self.avatar != "" {
		told["avatar_file_name"], told["avatar_file_size"] = "photo.jpg", len(s.world.files[self.avatar])
	}
	return http.StatusOK, s.tell(told), nil
}

// changeSelf is changeUser by the user, who may name a picture and not be disabled.
func changeSelf(s *Sim, r request, self *user, _ []string) (int, any, error) {
	own := s.world.changeable()
	delete(own, "enabled")
	allowed := maps.Clone(own)
	allowed["avatar_file_id"] = text(0)
	change, err := allowed.parse(r.body)
	if err != nil {
		return 0, nil, err
	}
	file, named := change["avatar_file_id"].(string)
	if named && file != "" && s.world.files[file] == nil {
		return 0, nil, invalid("there is no such file")
	}
	delete(change, "avatar_file_id")
	if named || s.config.Replace {
		self.avatar = file
	}
	before := self.dnd()
	if s.config.Replace {
		for name := range own {
			delete(self.fields, name)
		}
		for name, value := range defaults {
			if name != "enabled" {
				self.fields[name] = value
			}
		}
	}
	maps.Copy(self.fields, change)
	wanted := self.dnd()
	self.fields["enable_dnd"] = before
	if s.world.setDND(self, wanted) {
		s.tellPresence(self)
	}
	return http.StatusOK, nil, nil
}

package graph

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// CheckLink refuses a nextLink, deltaLink or resource URL that does not lead to
// this cloud's own Graph host over https: a link is followed with the tenant's
// token, and it came from outside. The error does not quote the link, whose
// query holds the state of a sync.
func (c Cloud) CheckLink(link Cursor) error {
	own, err := url.Parse(c.Graph)
	if err != nil {
		return fmt.Errorf("graph endpoint: %w", err)
	}
	u, err := url.Parse(string(link))
	switch {
	case err != nil:
		return errors.New("link is not a URL")
	case u.Scheme != "https":
		return errors.New("link is not https")
	case u.User != nil:
		return errors.New("link carries credentials")
	case !strings.EqualFold(hostPort(u), hostPort(own)):
		return fmt.Errorf("link leads to %q, not to %q", u.Host, own.Host)
	}
	return nil
}

// hostPort makes an explicit :443 equal to none.
func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Hostname() + ":443"
	}
	return u.Hostname() + ":" + u.Port()
}

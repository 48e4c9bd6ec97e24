package sippresence

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// vainLimit is how many nonces in a row may be good for one answer only before the server
// is taken to want it so.
const vainLimit = 3

// challenge is one of the server's, which may be answered again with each request until
// the server wants another nonce (RFC 3261 section 22, RFC 7616 section 3.4).
type challenge struct {
	*digest.Challenge
	header string        // of the answers
	count  atomic.Uint32 // of the answers, the nc of the last one
	reused atomic.Bool   // the server has taken another answer than the first
	vain   int           // how many nonces in a row before this one were good for one answer only
}

func challenges(res *sip.Response) bool {
	return res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
}

// challengeIn reads the challenge of a 401 or 407.
func challengeIn(res *sip.Response) (*challenge, error) {
	asked, c := "WWW-Authenticate", &challenge{header: "Authorization"}
	if res.StatusCode == sip.StatusProxyAuthRequired {
		asked, c.header = "Proxy-Authenticate", "Proxy-Authorization"
	}
	header := res.GetHeader(asked)
	if header == nil {
		return nil, fmt.Errorf("there is no %s", asked)
	}
	var err error
	if c.Challenge, err = digest.ParseChallenge(header.Value()); err != nil {
		return nil, fmt.Errorf("%q: %w", printable(header.Value()), err)
	}
	c.Algorithm = strings.ToUpper(c.Algorithm) // some write md5
	return c, nil
}

// answer gives a request the credentials that c asks for, instead of others.
func (c *challenge) answer(req *sip.Request, config Config) error {
	credentials, err := digest.Digest(c.Challenge, digest.Options{
		Method: string(req.Method), URI: req.Recipient.Addr(),
		Username: config.Username, Password: config.Password.Reveal(),
		Count: int(c.count.Add(1)),
	})
	if err != nil {
		return err
	}
	req.RemoveHeader("Authorization")
	req.RemoveHeader("Proxy-Authorization")
	req.AppendHeader(sip.NewHeader(c.header, credentials.String()))
	return nil
}

// stale says whether only the nonce of the last answer was wrong (RFC 7616
// section 3.3).
func stale(res *sip.Response) bool {
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		if header := res.GetHeader(name); header != nil {
			value := strings.ReplaceAll(strings.ToLower(header.Value()), `"`, "")
			if strings.Contains(strings.ReplaceAll(value, " ", ""), "stale=true") {
				return true
			}
		}
	}
	return false
}

// keptChallenge is the challenge that requests answer without being asked: the last one whose
// first answer was taken. Nobody else uses it before, so a server that takes each nonce
// once gets no answer too many. The zero value has none.
type keptChallenge struct{ last atomic.Pointer[challenge] }

// get returns the challenge to answer, nil if the server is to be asked for one.
func (k *keptChallenge) get() *challenge {
	if c := k.last.Load(); c != nil && c.vain < vainLimit {
		return c
	}
	return nil
}

// fits notes that a request got in which began with the challenge first and ended with
// last, each nil if there was none. Of several that found the same one spent the first
// provides for all.
func (k *keptChallenge) fits(first, last *challenge) {
	switch {
	case last == nil:
	case last == first:
		last.reused.Store(true)
	default:
		if first != nil && !first.reused.Load() {
			last.vain = first.vain + 1
		}
		k.last.CompareAndSwap(first, last)
	}
}

// drop forgets a challenge: the answer to another one was refused as well, so the
// credentials are wrong.
func (k *keptChallenge) drop(first *challenge) { k.last.CompareAndSwap(first, nil) }

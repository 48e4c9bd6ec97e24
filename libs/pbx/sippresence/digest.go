package sippresence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// challengeIn reads the challenge of a 401 or 407. Of several (RFC 8760) it is the one with
// the strongest algorithm of those that can be answered, wherever it stands: section 2.4
// has the first one taken unless a policy says otherwise, and this is ours. Nobody who adds
// a weaker one gets a weaker answer.
func challengeIn(res *sip.Response) (*challenge, error) {
	asked, c := "WWW-Authenticate", &challenge{header: "Authorization"}
	if res.StatusCode == sip.StatusProxyAuthRequired {
		asked, c.header = "Proxy-Authenticate", "Proxy-Authorization"
	}
	problem := fmt.Errorf("there is no %s", asked)
	for i, header := range res.GetHeaders(asked) {
		one, err := parseChallenge(header.Value())
		switch {
		case err != nil && i == 0:
			problem = fmt.Errorf("%q: %s", printable(header.Value()), printable(err.Error())) // which quotes a byte of it as it is
		case err == nil && (c.Challenge == nil || strength[one.Algorithm] > strength[c.Algorithm]):
			c.Challenge = one
		}
	}
	if c.Challenge == nil {
		return nil, problem
	}
	return c, nil
}

// strength is the order of the algorithms that can be answered (RFC 7616 section 3.3). None
// is MD5.
var strength = map[string]int{"": 1, "MD5": 1, "SHA-256": 2, "SHA-512": 3, "SHA-512-256": 3}

// parseChallenge reads one challenge, which can be answered.
func parseChallenge(text string) (*digest.Challenge, error) {
	c, err := digest.ParseChallenge(text)
	if err != nil {
		return nil, err
	}
	c.Algorithm = strings.ToUpper(c.Algorithm) // some write md5
	if strength[c.Algorithm] == 0 {
		return nil, fmt.Errorf("the algorithm %s is not known", printable(c.Algorithm))
	}
	for i := range c.QOP { // some write "auth, auth-int"
		c.QOP[i] = strings.ToLower(strings.TrimSpace(c.QOP[i]))
	}
	if !digest.CanDigest(c) {
		return nil, errors.New("no quality of protection is known")
	}
	return c, nil
}

// answer gives a request the credentials that c asks for, instead of others.
func (c *challenge) answer(req *sip.Request, config Config) error {
	credentials, err := digest.Digest(c.Challenge, digest.Options{
		Method: string(req.Method), URI: req.Recipient.Addr(),
		Username: config.Username, Password: config.Password.Reveal(),
		Count:   int(c.count.Add(1)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Body())), nil }, // for auth-int
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
		for _, header := range res.GetHeaders(name) {
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

package portsip

import (
	"crypto/rand"
	"encoding/json"
	"math/big"
	"strings"

	"offhook.dev/libs/core/identity"
)

// options is what Offhook keeps in the JSON text custom_options of a user: whose the
// extension is.
type options struct{ Marker string }

// ourOption is the name of it.
const ourOption = "offhook_user"

// parseOptions reads ours of a text that may be anything. Its name counts as it is
// written, not as encoding/json compares names.
func parseOptions(text string) (o options) {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &all) == nil {
		_ = json.Unmarshal(all[ourOption], &o.Marker) // what is no text is as good as none
	}
	return o
}

// marker is the marker; what is none is as good as none.
func (o options) marker() identity.User {
	user, _ := identity.ParseUser(o.Marker)
	return user
}

// mergeable says whether ours can be added to a text without taking anything away.
func mergeable(text string) bool {
	var all map[string]json.RawMessage
	return strings.TrimSpace(text) == "" || json.Unmarshal([]byte(text), &all) == nil
}

// in is the text with ours in it. Members of others stay.
func (o options) in(text string) string {
	all := make(map[string]json.RawMessage)
	_ = json.Unmarshal([]byte(text), &all) // mergeable has looked
	if all == nil {                        // it was null
		all = make(map[string]json.RawMessage)
	}
	all[ourOption], _ = json.Marshal(o.Marker)
	out, _ := json.Marshal(all)
	return string(out)
}

// secrets are what a new user must have. Nobody is told: users sign in with Microsoft,
// phones are provisioned, and an administrator can set others. They are never printed.
type secrets struct{ password, extension, pin string }

const (
	letters        = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789" // none that look alike
	passwordLength = 24
	pinLength      = 8
)

func newSecrets() secrets { return secrets{newPassword(), newPassword(), newPIN()} }

// newPassword has upper and lower case letters and digits, and a sign, as policies ask
// for.
func newPassword() string {
	var b strings.Builder
	for range passwordLength {
		b.WriteByte(letters[pick(len(letters))])
	}
	return b.String() + "aZ7_"
}

// newPIN has no two neighbours that are the same or next to each other, so that neither
// 111 nor 345 nor 987 is in it.
func newPIN() string {
	pin := make([]byte, 0, pinLength)
	for len(pin) < pinLength {
		digit := byte('0' + pick(10))
		if n := len(pin); n > 0 {
			if apart := int(digit) - int(pin[n-1]); apart >= -1 && apart <= 1 {
				continue
			}
		}
		pin = append(pin, digit)
	}
	return string(pin)
}

func pick(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return int(i.Int64())
}

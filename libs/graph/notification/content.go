package notification

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// Content is the encrypted resource data of an item.
type Content struct {
	CertificateID string // names the key to open it with
	key           []byte // AES-256 key under RSA-OAEP
	signature     []byte // HMAC-SHA256 of data under the AES key
	data          []byte // AES-CBC, PKCS#7; IV: the first 16 bytes of the key
}

// wireContent is changeNotificationEncryptedContent. The thumbprint beside the
// id says nothing more.
type wireContent struct {
	Data          string `json:"data"`
	Signature     string `json:"dataSignature"`
	Key           string `json:"dataKey"`
	CertificateID string `json:"encryptionCertificateId"`
}

func (w *wireContent) decode() (*Content, error) {
	if w.CertificateID == "" || len(w.CertificateID) > maxText {
		return nil, errors.New("encryptionCertificateId is missing or too long")
	}
	content := &Content{CertificateID: w.CertificateID}
	for _, member := range []struct {
		name, text string
		into       *[]byte
	}{{"data", w.Data, &content.data}, {"dataSignature", w.Signature, &content.signature}, {"dataKey", w.Key, &content.key}} {
		bytes, err := base64.StdEncoding.DecodeString(member.text)
		if err != nil || len(bytes) == 0 {
			return nil, errors.New("encryptedContent." + member.name + " is not base64")
		}
		*member.into = bytes
	}
	return content, nil
}

// Keys are the private keys that can open content, by certificate id. While keys
// rotate several live at once: the old one stays until no recent item names it.
// Callers replace the whole map, so that it is never written while it is read.
type Keys map[string]*rsa.PrivateKey

// ErrContent is the one error of content that does not open, whatever the cause,
// so that no answer tells an attacker how far a forgery got. A caller that wants
// to tell a lost key from a forgery looks CertificateID up in its Keys.
var ErrContent = errors.New("encrypted content does not open")

// Presence opens the content of an item about a presence. The item must have
// been verified. Content about another user than the item's resource names is
// refused too.
func (k Keys) Presence(item Item) (graph.Presence, error) {
	if item.Content == nil || item.Resource.Kind != Presence {
		return graph.Presence{}, ErrContent
	}
	plain, err := k.open(item.Content)
	if err != nil {
		return graph.Presence{}, err
	}
	var body struct {
		ID           string `json:"id"`
		Availability string `json:"availability"`
		Activity     string `json:"activity"`
	}
	if json.Unmarshal(plain, &body) != nil {
		return graph.Presence{}, ErrContent
	}
	user, err := identity.ParseUser(body.ID)
	if err != nil || user != item.Resource.User || !word(body.Availability) || !word(body.Activity) {
		return graph.Presence{}, ErrContent
	}
	return graph.Presence{User: user, Availability: body.Availability, Activity: body.Activity}, nil
}

// word accepts any name of a presence state: the set is open, its shape is not.
func word(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, unicode.IsControl)
}

// keySize is AES-256's.
const keySize = 32

// open checks the signature before it decrypts, so that padding never answers a
// question. A wrong key costs the same as a wrong signature.
func (k Keys) open(content *Content) ([]byte, error) {
	private, known := k[content.CertificateID]
	if !known || private == nil {
		return nil, ErrContent
	}
	key := make([]byte, keySize)
	defer clear(key)
	// SHA-1 is Graph's choice; OAEP does not rest on its collision resistance.
	unwrapped, err := rsa.DecryptOAEP(sha1.New(), nil, private, content.key, nil)
	defer clear(unwrapped)
	ok := subtle.ConstantTimeEq(int32(len(unwrapped)), keySize)
	if err == nil && ok == 1 {
		copy(key, unwrapped)
	} else {
		ok = 0
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(content.data)
	ok &= subtle.ConstantTimeCompare(mac.Sum(nil), content.signature)
	if ok != 1 || len(content.data) == 0 || len(content.data)%aes.BlockSize != 0 {
		return nil, ErrContent
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrContent
	}
	plain := make([]byte, len(content.data))
	cipher.NewCBCDecrypter(block, key[:aes.BlockSize]).CryptBlocks(plain, content.data)
	return unpad(plain)
}

// unpad removes PKCS#7 padding (RFC 5652 section 6.3) after checking all of it.
func unpad(plain []byte) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, ErrContent
	}
	for _, b := range plain[len(plain)-n:] {
		if int(b) != n {
			return nil, ErrContent
		}
	}
	return plain[:len(plain)-n], nil
}

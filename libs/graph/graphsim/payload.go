package graphsim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Graph encrypts data keys with RSA-OAEP over SHA-1
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// changeTracking is the application that sends notifications; validation tokens
// name it as their caller.
const changeTracking = "0bf30f3b-4a52-48df-9a82-234910c4a086"

// collection is changeNotificationCollection. It has validationTokens only if an
// item is rich.
type collection struct {
	Value  []json.RawMessage `json:"value"`
	Tokens *[]string         `json:"validationTokens,omitempty"`
}

// wireTime is how the service writes an expiry.
const wireTime = "2006-01-02T15:04:05.0000000Z"

// presenceContent is the plain text of a rich notification: no more than these
// members, above all no sequenceNumber. t.mu is held.
func (t *Tenant) presenceContent(p *person) []byte {
	content, err := json.Marshal(map[string]string{"@odata.type": "#microsoft.graph.presence", "@odata.id": "users/" + p.id + "/presence",
		"id": p.id, "availability": t.cased(p.availability), "activity": t.cased(p.activity)})
	if err != nil {
		panic("graphsim: presence content: " + err.Error()) // strings cannot fail
	}
	return content
}

// render writes the item of a notice, encrypted where its subscription is rich.
func (n *notice) render() (json.RawMessage, error) {
	item := map[string]any{"subscriptionId": n.sub.id, "tenantId": n.tenant.id, "clientState": n.sub.clientState,
		"subscriptionExpirationDateTime": n.sub.expires.UTC().Format(wireTime)}
	if n.event != "" {
		item["lifecycleEvent"] = n.event
		// Seen with an offset instead of Z (learn.microsoft.com/graph/change-notifications-lifecycle-events).
		item["subscriptionExpirationDateTime"] = n.sub.expires.UTC().Format("2006-01-02T15:04:05.0000000") + "+00:00"
		return json.Marshal(item)
	}
	item["changeType"], item["resource"] = n.change, n.path
	item["organizationId"] = n.tenant.id // undeclared, but on the wire
	data := map[string]any{"@odata.type": n.odata, "@odata.id": n.path, "id": n.id}
	if n.sub.resource.kind == presenceKind {
		data["@odata.id"] = "users/" + n.id + "/presence"
	}
	if n.etag != "" {
		data["@odata.etag"] = n.etag
	}
	item["resourceData"] = data
	if n.content != nil {
		sealed, err := seal(n.content, n.sub.certificate, n.sub.certificateID)
		if err != nil {
			return nil, err
		}
		item["encryptedContent"] = sealed
	}
	return json.Marshal(item)
}

// seal encrypts content under a key of its own, as
// learn.microsoft.com/graph/change-notifications-with-resource-data describes:
// AES-256-CBC with PKCS #7 padding and the key's first half as IV, HMAC-SHA256 over
// the cipher text, and the key under RSA-OAEP with SHA-1.
func seal(content []byte, certificate *x509.Certificate, id string) (map[string]string, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt resource data: %w", err)
	}
	padding := aes.BlockSize - len(content)%aes.BlockSize
	data := append(slices.Clone(content), slices.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(data, data)
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("encrypt resource data: certificate %s is not RSA", id)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt resource data: %w", err)
	}
	encode := base64.StdEncoding.EncodeToString
	return map[string]string{"data": encode(data), "dataSignature": encode(mac.Sum(nil)), "dataKey": encode(wrapped),
		"encryptionCertificateId": id, "encryptionCertificateThumbprint": strings.ToUpper(fmt.Sprintf("%x", sha1.Sum(certificate.Raw)))}, nil
}

// collect renders notices into the body of one POST.
func (s *Server) collect(notices []*notice) ([]byte, error) {
	body := collection{Value: make([]json.RawMessage, len(notices))}
	var tokens []string
	rich, assigned := false, true
	for i, n := range notices {
		if n.rendered == nil {
			item, err := n.render()
			if err != nil {
				return nil, err
			}
			n.rendered = item
		}
		body.Value[i] = n.rendered
		if n.content == nil {
			continue
		}
		rich = true
		token := n.tenant.validationToken(n.sub.app)
		if token == "" {
			assigned = false
		} else if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	if rich {
		body.Tokens = &tokens
		if !assigned {
			body.Tokens = new([]string) // null on the wire
		}
	}
	return json.Marshal(body)
}

// cachedToken is a validation token used for some minutes: signing costs more than
// everything else in a notification.
type cachedToken struct {
	text string
	made time.Time
}

const validationReuse = 5 * time.Minute

// validationToken returns the token that proves to app that Graph is the sender, or
// "" where the app requires an assignment that the sender lacks.
func (t *Tenant) validationToken(a *app) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.server.now()
	if cached, ok := t.validation[a.ClientID]; ok && now.Sub(cached.made) < validationReuse {
		return cached.text
	}
	claims := jwt.MapClaims{"aud": a.ClientID, "tid": t.id, "oid": guidOf("change tracking " + t.id), "sub": guidOf("change tracking " + t.id),
		"iat": now.Unix(), "nbf": now.Add(-clockSkew).Unix(), "exp": now.Add(t.server.config.TokenLife).Unix(), "uti": rand.Text()}
	version := "2.0"
	switch t.switches.ValidationTokens {
	case "null":
		return ""
	case "v1":
		version = "1.0"
		claims["appid"] = changeTracking
	default:
		claims["azp"] = changeTracking
	}
	claims["ver"], claims["iss"] = version, t.validationIssuer(version)
	signed := t.server.keys.sign(claims)
	t.validation[a.ClientID] = cachedToken{signed, now}
	return signed
}

// validationIssuer is what a validation token of a version names as its issuer. Those
// of the national clouds are a guess. t.mu is held.
func (t *Tenant) validationIssuer(version string) string {
	switch {
	case t.switches.ValidationIssuer == "v1":
		return t.server.issuer("1.0", t.id)
	case t.switches.ValidationIssuer == "national" && version == "1.0":
		return "https://sts.chinacloudapi.cn/" + t.id + "/"
	case t.switches.ValidationIssuer == "national":
		return "https://login.partner.microsoftonline.cn/" + t.id + "/v2.0"
	}
	return t.server.issuer(version, t.id)
}

func hasWord(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }

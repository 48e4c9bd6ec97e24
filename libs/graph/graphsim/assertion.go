package graphsim

import (
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is defined as SHA-1, RFC 7515 section 4.1.7
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// clockSkew is how far Entra lets clocks differ.
const clockSkew = 5 * time.Minute

// authenticate checks the client credential of a token request.
func (t *Tenant) authenticate(r *http.Request, a *app) *loginError {
	switch {
	case r.PostForm.Get("client_assertion") != "":
		if kind := r.PostForm.Get("client_assertion_type"); kind != assertionType {
			return loginErr(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_assertion_type' with the value '%s'.", assertionType)
		}
		return t.checkAssertion(r.PostForm.Get("client_assertion"), "https://"+r.Host, a)
	case r.PostForm.Get("client_secret") != "":
		given, want := []byte(r.PostForm.Get("client_secret")), []byte(a.Secret.Reveal())
		if a.Secret.IsZero() || subtle.ConstantTimeCompare(given, want) != 1 {
			return loginErr(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", a.ClientID)
		}
		return nil
	}
	return loginErr(http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
}

// authenticateDelegated lets a public client through without a credential.
func (t *Tenant) authenticateDelegated(r *http.Request, a *app) *loginError {
	if a.PublicClient && r.PostForm.Get("client_assertion") == "" && r.PostForm.Get("client_secret") == "" {
		return nil
	}
	return t.authenticate(r, a)
}

// checkAssertion verifies a client assertion as
// learn.microsoft.com/entra/identity-platform/certificate-credentials has it: PS256
// with x5t#S256 now, RS256 with x5t before.
func (t *Tenant) checkAssertion(assertion, origin string, a *app) *loginError {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"PS256", "RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(assertion, claims, func(token *jwt.Token) (any, error) {
		return registeredKey(token.Header, a.Certificates)
	})
	switch {
	case errors.Is(err, errNoCertificate):
		return loginErr(http.StatusUnauthorized, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]")
	case err != nil:
		return loginErr(http.StatusUnauthorized, "invalid_client", 700027, "Client assertion failed signature validation. [Reason - The key used is invalid or the algorithm is not allowed.]")
	}
	now := t.server.now()
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return loginErr(http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed: the exp claim is missing.")
	}
	if begins, err := claims.GetNotBefore(); err != nil || now.After(expires.Add(clockSkew)) || begins != nil && now.Add(clockSkew).Before(begins.Time) {
		return loginErr(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion: %s.", now.UTC().Format(time.RFC3339), expires.UTC().Format(time.RFC3339))
	}
	audience, _ := claims.GetAudience()
	if !slices.ContainsFunc(audience, func(aud string) bool { return t.isTokenEndpoint(aud, origin) }) {
		return loginErr(http.StatusUnauthorized, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials.")
	}
	issuer, _ := claims.GetIssuer()
	subject, _ := claims.GetSubject()
	if !strings.EqualFold(issuer, a.ClientID) || !strings.EqualFold(subject, a.ClientID) {
		return loginErr(http.StatusUnauthorized, "invalid_client", 700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
	}
	return nil
}

func (t *Tenant) isTokenEndpoint(aud, origin string) bool {
	path, ours := strings.CutPrefix(aud, origin+"/")
	tenant, rest, _ := strings.Cut(path, "/")
	return ours && (rest == "oauth2/v2.0/token" || rest == "v2.0") && t.named(tenant)
}

var errNoCertificate = errors.New("no registered certificate has this thumbprint")

// registeredKey finds the certificate that an assertion names by x5t#S256 or x5t.
func registeredKey(header map[string]any, registered []*x509.Certificate) (*rsa.PublicKey, error) {
	for _, cert := range registered {
		old, current := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
		if thumbprintIs(header["x5t#S256"], current[:]) || thumbprintIs(header["x5t"], old[:]) {
			key, ok := cert.PublicKey.(*rsa.PublicKey)
			if !ok {
				return nil, errors.New("the registered certificate is not RSA")
			}
			return key, nil
		}
	}
	return nil, errNoCertificate
}

// thumbprintIs compares in both base64 alphabets, padded or not: the documents say
// base64url and MSAL for Go writes standard base64 (seen 2026).
func thumbprintIs(value any, sum []byte) bool {
	text, _ := value.(string)
	text = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "=")
	return text != "" && text == base64.RawURLEncoding.EncodeToString(sum)
}
